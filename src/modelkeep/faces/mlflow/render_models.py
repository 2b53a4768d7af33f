"""How registered models and versions are written on MLflow's wire."""

from modelkeep.catalog import ModelView, VersionView
from modelkeep.core.names import missing_value
from modelkeep.faces.mlflow.wire import Message


class RegistryTag(Message):
    """A tag."""

    key: str | None = None
    value: str | None = None


class AliasMessage(Message):
    """An alias of a model, with the number of its version as text."""

    alias: str | None = None
    version: str | None = None


class ModelVersionMessage(Message):
    """A model version; its number is text."""

    name: str | None = None
    version: str | None = None
    creation_timestamp: int | None = None
    last_updated_timestamp: int | None = None
    user_id: str | None = None
    current_stage: str | None = None
    description: str | None = None
    source: str | None = None
    run_id: str | None = None
    status: str | None = None
    tags: list[RegistryTag] | None = None
    run_link: str | None = None
    aliases: list[str] | None = None
    model_id: str | None = None


class RegisteredModelMessage(Message):
    """A registered model or prompt."""

    name: str | None = None
    creation_timestamp: int | None = None
    last_updated_timestamp: int | None = None
    user_id: str | None = None
    description: str | None = None
    latest_versions: list[ModelVersionMessage] | None = None
    tags: list[RegistryTag] | None = None
    aliases: list[AliasMessage] | None = None


def tag_pairs(tags: list[RegistryTag] | None) -> list[tuple[str, str]]:
    """Tags of a request; refuses one without a key."""
    for at, tag in enumerate(tags or ()):
        if not tag.key:
            raise missing_value(f"tags[{at}].key")
    return [(tag.key or "", tag.value or "") for tag in tags or ()]


def version_message(view: VersionView) -> ModelVersionMessage:
    """A version on the wire."""
    return ModelVersionMessage(
        name=view.name,
        version=str(view.version),
        creation_timestamp=view.created_at,
        last_updated_timestamp=view.updated_at,
        user_id=view.created_by,
        current_stage=view.stage,
        description=view.description,
        source=view.source,
        run_id=view.run_id,
        status=view.status,
        tags=_tags(view.tags),
        run_link=view.run_link,
        aliases=view.aliases or None,
        model_id=view.logged_model_id,
    )


def model_message(view: ModelView) -> RegisteredModelMessage:
    """A registered model on the wire."""
    return RegisteredModelMessage(
        name=view.name,
        creation_timestamp=view.created_at,
        last_updated_timestamp=view.updated_at,
        user_id=view.created_by,
        description=view.description,
        latest_versions=[version_message(one) for one in view.latest] or None,
        tags=_tags(view.tags),
        aliases=[AliasMessage(alias=alias, version=str(number)) for alias, number in view.aliases] or None,
    )


def _tags(pairs: list[list[str]]) -> list[RegistryTag] | None:
    return [RegistryTag(key=key, value=value) for key, value in pairs] or None
