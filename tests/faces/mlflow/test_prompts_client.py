"""Prompts through the client: they are registered models with reserved tags and need no endpoint of their own."""

import mlflow
import pytest
from mlflow.tracking import MlflowClient

TEXT = "Answer {{question}} in {{style}} style."


def test_a_prompt_is_registered_and_loaded(client: MlflowClient, name: str):
    """A prompt comes back by number and by URI, with its text and tags."""
    made = mlflow.genai.register_prompt(name, TEXT, commit_message="first", tags={"team": "risk"})
    assert (made.name, made.version) == (name, 1)
    for uri in (name, f"prompts:/{name}/1"):
        read = mlflow.genai.load_prompt(uri, version=1) if uri == name else mlflow.genai.load_prompt(uri)
        assert (read.template, read.commit_message, read.tags["team"]) == (TEXT, "first", "risk")
    assert made.format(question="it", style="short") == "Answer it in short style."


def test_a_changed_prompt_is_a_new_version(client: MlflowClient, name: str):
    """Registering a name again makes the next version and keeps the first."""
    mlflow.genai.register_prompt(name, "one")
    assert mlflow.genai.register_prompt(name, "two").version == 2
    assert mlflow.genai.load_prompt(f"prompts:/{name}/1").template == "one"
    assert mlflow.genai.load_prompt(f"prompts:/{name}@latest").template == "two"


def test_a_chat_prompt_keeps_its_messages(client: MlflowClient, name: str):
    """A list of messages and a response format come back as they went."""
    messages = [{"role": "system", "content": "You are {{who}}."}, {"role": "user", "content": "Hi"}]
    mlflow.genai.register_prompt(name, messages, response_format={"type": "object"})
    read = mlflow.genai.load_prompt(f"prompts:/{name}/1")
    assert read.template == messages
    assert read.response_format == {"type": "object"}


def test_an_alias_of_a_prompt_points_and_goes(client: MlflowClient, name: str):
    """A prompt is loaded by its alias until the alias is deleted."""
    mlflow.genai.register_prompt(name, "one")
    mlflow.genai.register_prompt(name, "two")
    mlflow.genai.set_prompt_alias(name, "production", 1)
    assert mlflow.genai.load_prompt(f"prompts:/{name}@production").template == "one"
    mlflow.genai.delete_prompt_alias(name, "production")
    with pytest.raises(mlflow.MlflowException):
        mlflow.genai.load_prompt(f"prompts:/{name}@production", allow_missing=False, cache_ttl_seconds=0)


def test_tags_of_a_prompt_change(client: MlflowClient, name: str):
    """A prompt and its versions take tags."""
    mlflow.genai.register_prompt(name, "one")
    mlflow.genai.set_prompt_tag(name, "owner", "ann")
    assert mlflow.genai.get_prompt_tags(name)["owner"] == "ann"
    mlflow.genai.set_prompt_version_tag(name, 1, "k", "v")
    assert mlflow.genai.load_prompt(name, version=1, cache_ttl_seconds=0).tags["k"] == "v"


def test_prompts_are_searched_apart_from_models(client: MlflowClient, name: str):
    """A prompt is found among prompts and not among models."""
    mlflow.genai.register_prompt(name, "one")
    assert [prompt.name for prompt in mlflow.genai.search_prompts(f"name = '{name}'")] == [name]
    assert client.search_registered_models(f"name = '{name}'") == []
    assert client.search_model_versions(f"name = '{name}'") == []


def test_an_absent_prompt_is_missing(client: MlflowClient, name: str):
    """An unknown prompt is none when that is allowed, and an error otherwise."""
    assert mlflow.genai.load_prompt(name, version=1, allow_missing=True) is None
    with pytest.raises(mlflow.MlflowException):
        mlflow.genai.load_prompt(name, version=1)


def test_models_and_prompts_do_not_mix(client: MlflowClient, name: str):
    """A model's name is refused for a prompt, and a prompt's for a model."""
    client.create_registered_model(name)
    with pytest.raises(mlflow.MlflowException, match="exists with the same name"):
        mlflow.genai.register_prompt(name, "one")
    mlflow.genai.register_prompt(name + "-prompt", "one")
    with pytest.raises(mlflow.MlflowException, match="already taken by a prompt"):
        client.create_registered_model(name + "-prompt")


def test_a_prompt_is_deleted_version_by_version(client: MlflowClient, name: str):
    """Deleted versions of a prompt are gone, and so is the prompt after them."""
    mlflow.genai.register_prompt(name, "one")
    client.delete_prompt_version(name, "1")
    client.delete_prompt(name)
    assert mlflow.genai.search_prompts(f"name = '{name}'") == []


def test_a_run_remembers_the_prompt_it_loaded(client: MlflowClient, name: str):
    """Loading a prompt inside a run links them."""
    mlflow.genai.register_prompt(name, "one")
    with mlflow.start_run() as run:
        mlflow.genai.load_prompt(f"prompts:/{name}/1")
    assert name in client.get_run(run.info.run_id).data.tags["mlflow.linkedPrompts"]
