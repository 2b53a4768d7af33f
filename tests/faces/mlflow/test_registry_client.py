"""The registry through MlflowClient: models, versions, stages, aliases, tags, copies, renaming, deletion."""

from collections.abc import Callable
from typing import Any

import mlflow
import pytest
from mlflow.exceptions import RestException
from mlflow.tracking import MlflowClient

from faces.mlflow.build import ELSEWHERE


@pytest.fixture
def model(client: MlflowClient, name: str) -> str:
    """A registered model with two versions."""
    client.create_registered_model(name, tags={"team": "risk"}, description="what it is for")
    for number in (1, 2):
        client.create_model_version(name, ELSEWHERE, tags={"number": str(number)}, description=f"number {number}")
    return name


def stages(client: MlflowClient, name: str) -> dict[str, str]:
    """Where each version stands."""
    return {version.version: version.current_stage for version in client.search_model_versions(f"name='{name}'")}


def test_a_created_model_reads_back(client: MlflowClient, model: str):
    """Name, description, tags and latest version of a model are what was written."""
    read = client.get_registered_model(model)
    assert (read.name, read.description, read.tags) == (model, "what it is for", {"team": "risk"})
    assert [version.version for version in read.latest_versions] == ["2"]


def test_a_created_version_reads_back(client: MlflowClient, model: str):
    """Number, description, tags, source, stage and status of a version are what was written."""
    read = client.get_model_version(model, "1")
    assert (read.version, read.description, read.tags) == ("1", "number 1", {"number": "1"})
    assert (read.source, read.current_stage, read.status) == (ELSEWHERE, "None", "READY")
    assert client.get_model_version_download_uri(model, "1") == ELSEWHERE


def test_a_duplicate_model_is_refused_with_its_code(client: MlflowClient, model: str):
    """The client can tell an existing name from other failures."""
    with pytest.raises(
        RestException, match=r"RESOURCE_ALREADY_EXISTS: Registered Model \(name=.*\) already exists"
    ) as e:
        client.create_registered_model(model)
    assert e.value.error_code == "RESOURCE_ALREADY_EXISTS"


def test_an_absent_model_is_refused_with_its_code(client: MlflowClient, name: str):
    """The client can tell a missing thing from other failures."""
    with pytest.raises(RestException, match=f"RESOURCE_DOES_NOT_EXIST: Registered Model with name={name} not found"):
        client.get_registered_model(name)


def test_a_version_is_promoted_through_the_stages(client: MlflowClient, model: str):
    """Staging, then Production, each time archiving what stood there."""
    client.transition_model_version_stage(model, "1", "Production")
    client.transition_model_version_stage(model, "2", "Staging", archive_existing_versions=True)
    assert stages(client, model) == {"1": "Production", "2": "Staging"}
    moved = client.transition_model_version_stage(model, "2", "Production", archive_existing_versions=True)
    assert moved.current_stage == "Production"
    assert stages(client, model) == {"1": "Archived", "2": "Production"}
    assert [version.version for version in client.get_latest_versions(model, ["Production"])] == ["2"]


def test_descriptions_are_updated(client: MlflowClient, model: str):
    """Model and version take a new description."""
    assert client.update_registered_model(model, "new").description == "new"
    assert client.update_model_version(model, "1", description="newer").description == "newer"
    assert client.get_model_version(model, "1").description == "newer"


def test_tags_of_models_and_versions_change(client: MlflowClient, model: str):
    """Tags are set and deleted on both, by version number and by stage."""
    client.set_registered_model_tag(model, "owner", "ann")
    client.delete_registered_model_tag(model, "team")
    assert client.get_registered_model(model).tags == {"owner": "ann"}
    client.set_model_version_tag(model, "1", "validation_status", "approved")
    client.delete_model_version_tag(model, "1", "number")
    assert client.get_model_version(model, "1").tags == {"validation_status": "approved"}
    client.transition_model_version_stage(model, "2", "Staging")
    client.set_model_version_tag(model, stage="Staging", key="by", value="stage")
    assert client.get_model_version(model, "2").tags["by"] == "stage"


def test_tag_values_are_made_text(client: MlflowClient, model: str):
    """A number given as a tag value comes back as text."""
    client.set_model_version_tag(model, "1", "count", 5)
    assert client.get_model_version(model, "1").tags["count"] == "5"


def test_an_alias_points_moves_and_goes(client: MlflowClient, model: str):
    """An alias is set, moved to another version, and deleted."""
    for number in ("1", "2"):
        client.set_registered_model_alias(model, "champion", number)
        assert client.get_model_version_by_alias(model, "champion").version == number
    assert client.get_model_version(model, "1").aliases == []
    client.delete_registered_model_alias(model, "champion")
    with pytest.raises(RestException, match="Registered model alias champion not found"):
        client.get_model_version_by_alias(model, "champion")


def test_a_deleted_version_takes_its_alias_along(client: MlflowClient, model: str):
    """No alias outlives its version, and the number stays used."""
    client.set_registered_model_alias(model, "champion", "2")
    client.delete_model_version(model, "2")
    assert client.get_registered_model(model).aliases == {}
    assert client.create_model_version(model, ELSEWHERE).version == "3"


def test_a_model_is_renamed_with_all_it_has(client: MlflowClient, model: str):
    """Versions and aliases are found under the new name only."""
    client.set_registered_model_alias(model, "champion", "2")
    client.rename_registered_model(model, model + "-new")
    assert client.get_model_version_by_alias(model + "-new", "champion").version == "2"
    with pytest.raises(RestException, match="not found"):
        client.get_registered_model(model)


def test_a_model_is_deleted_with_all_it_has(client: MlflowClient, model: str):
    """Neither the model nor its versions are found."""
    client.delete_registered_model(model)
    assert client.search_model_versions(f"name='{model}'") == []
    with pytest.raises(RestException, match="not found"):
        client.get_model_version(model, "1")


def test_a_version_is_copied_by_number_and_by_alias(client: MlflowClient, log_trained: Callable[..., Any], name: str):
    """A copy is a version of another model that loads the same files, and a copy of a copy too."""
    log_trained(registered_model_name=name)
    client.set_registered_model_alias(name, "champion", "1")
    client.set_model_version_tag(name, "1", "k", "v")
    copied = client.copy_model_version(f"models:/{name}@champion", name + "-prod")
    again = client.copy_model_version(f"models:/{name}-prod/1", name + "-more")
    assert (copied.version, copied.source, copied.tags["k"]) == ("1", f"models:/{name}/1", "v")
    assert again.source == f"models:/{name}-prod/1"
    assert "sklearn" in mlflow.models.get_model_info(f"models:/{name}-more/1").flavors


def test_a_copy_to_the_same_name_adds_a_version(client: MlflowClient, model: str):
    """Copying a version to its own model makes the next number."""
    assert client.copy_model_version(f"models:/{model}/1", model).version == "3"


def test_registering_again_adds_a_version(client: MlflowClient, log_trained: Callable[..., Any], name: str):
    """register_model of a logged model works for a new and for a known name."""
    info = log_trained()
    numbers = [str(mlflow.register_model(info.model_uri, name, tags={"k": "v"}).version) for _ in range(2)]
    assert numbers == ["1", "2"]
    assert client.get_model_version(name, "2").tags["k"] == "v"


def test_a_source_elsewhere_is_recorded(client: MlflowClient, model: str):
    """A version may name files in a store that the server does not know."""
    made = client.create_model_version(model, "s3://nope/none")
    assert (made.source, made.status) == ("s3://nope/none", "READY")


def test_names_with_blanks_and_letters_of_any_script_work(client: MlflowClient, name: str):
    """A name that URLs must encode works in every call."""
    odd = f"Modèle 100% café {name}"
    client.create_registered_model(odd)
    client.create_model_version(odd, ELSEWHERE)
    client.set_registered_model_alias(odd, "champion", "1")
    assert client.get_model_version_by_alias(odd, "champion").name == odd
    client.delete_registered_model(odd)
