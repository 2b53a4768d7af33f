"""What each search accepts: its keys, the operators of each, the order keys, and the words of a refusal.

The five tables at the end are the whole of it; `grammar` reads them and knows no key by itself.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from modelkeep.core.errors import InvalidInput

Kind = Literal["text", "run_id", "stage", "integer", "number"]

PATTERN = ("=", "!=", "LIKE", "ILIKE")
LISTED = (*PATTERN, "IN", "NOT IN")
NUMERIC = ("<", "<=", ">", ">=", "=", "!=")
PRESENCE = ("IS NULL", "IS NOT NULL")
DATASET_KEYS = ("context", "digest", "name")

ATTRIBUTE_PREFIXES = {"attr": "attribute", "attribute": "attribute", "attributes": "attribute"}
TAG_PREFIXES = {"tag": "tag", "tags": "tag"}


@dataclass(frozen=True, slots=True)
class Field:
    """How one key is compared.

    `run_id` is a text whose lists lose members with capitals (ids have none), `stage` a text of four values.
    An `integer` takes no fraction. A `loose` field takes its value with or without quotes.
    """

    kind: Kind
    operators: tuple[str, ...]
    loose: bool = False

    @property
    def is_number(self) -> bool:
        """True when values are bare numbers."""
        return self.kind in ("integer", "number")


@dataclass(frozen=True, slots=True)
class Wording:
    """The refusals that read differently from one search to the next; clients match on these texts."""

    clause: str = "Invalid clause(s) in filter string: {clause}"
    entity: str = "Invalid entity type '{prefix}'. Valid entity types are ('attribute', 'tag', 'tags')"
    comparator: str = "Invalid comparator for {entity}: {operator}"
    attribute_comparator: str = "Invalid comparator for attribute: {operator}"
    attribute_value: str = (
        "Expected a quoted string value or a list of quoted string values for attributes. Got value {found}"
    )
    presence: str = "IS NULL / IS NOT NULL is only supported for tags, not for {entity} '{key}'"
    order_key: str = "Invalid attribute key '{key}' specified. Valid keys are '{valid}'"
    order_entity: str = "Invalid order by key '{key}' specified. Valid keys are {valid}"


@dataclass(frozen=True, slots=True, eq=False)
class Schema:
    """One search: attributes by canonical name, other spellings of them, kinds of free keys, prefixes, order keys.

    `order_keys` maps an accepted spelling to the canonical attribute; `order_entities` are the kinds of free keys that
    may order. With `order_repeats` a field given twice counts once; otherwise it is refused. `mlflow_keys` are the
    attributes that MLflow knows too, where we take more: a refusal names them first, in MLflow's words.
    """

    attributes: Mapping[str, Field]
    entities: Mapping[str, Field]
    prefixes: Mapping[str, str]
    order_keys: Mapping[str, str]
    wording: Wording
    synonyms: Mapping[str, str]
    order_entities: tuple[str, ...] = ()
    order_repeats: bool = False
    mlflow_keys: tuple[str, ...] = ()

    def field(self, entity: str, key: str) -> Field:
        """The rules of a key that `resolve` has named."""
        return self.attributes[key] if entity == "attribute" else self.entities[entity]

    def resolve(self, prefix: str, name: str) -> tuple[str, str]:
        """The entity and canonical key that a filter names as `prefix.name`, or as `name` alone.

        InvalidInput: no such prefix, attribute or dataset field in this search.
        """
        entity = self._entity(prefix, "filter")
        if entity == "attribute":
            return entity, self._attribute(name)
        if entity == "dataset" and name not in DATASET_KEYS:
            valid = _braced(DATASET_KEYS)
            raise InvalidInput(f"Invalid dataset key '{name}' specified. Valid keys are '{valid}'", "filter")
        return entity, name

    def resolve_order(self, prefix: str, name: str) -> tuple[str, str]:
        """The entity and canonical key that an order clause names.

        InvalidInput: this search is not ordered by that.
        """
        entity = self._entity(prefix, "order_by")
        if entity in self.order_entities:
            return entity, name
        valid = _braced(self.order_keys)
        if entity != "attribute":
            message = self.wording.order_entity.format(prefix=prefix, entity=entity, key=name, valid=valid)
            raise InvalidInput(message, "order_by")
        if name not in self.order_keys:
            raise InvalidInput(self.wording.order_key.format(key=name, valid=valid), "order_by")
        return entity, self.order_keys[name]

    def knows(self, prefix: str) -> bool:
        """True when `prefix.` opens a key of this search."""
        return prefix in self.prefixes

    def _entity(self, prefix: str, field: str) -> str:
        if not prefix:
            return "attribute"
        if not self.knows(prefix):
            raise InvalidInput(self.wording.entity.format(prefix=prefix), field)
        return self.prefixes[prefix]

    def _attribute(self, name: str) -> str:
        canonical = self.synonyms.get(name, name)
        if canonical not in self.attributes:
            raise InvalidInput(
                f"Invalid attribute key '{name}' specified. Valid keys are {self._valid_keys()}", "filter"
            )
        return canonical

    def _valid_keys(self) -> str:
        ours = [*self.attributes, *self.synonyms]
        if not self.mlflow_keys:
            return f"'{_braced(ours)}'"
        further = ", ".join(sorted(set(ours) - set(self.mlflow_keys)))
        return f"'{_braced(self.mlflow_keys)}'; here also {further}"

    def wrong_comparator(self, entity: str, key: str, operator: str) -> InvalidInput:
        """The refusal of an operator that the key does not take."""
        operators = self.field(entity, key).operators
        template = self.wording.attribute_comparator if entity == "attribute" else self.wording.comparator
        if operator in PRESENCE:
            template = self.wording.presence
        listed, braced = "(" + ", ".join(map(repr, operators)) + ")", _braced(operators)
        message = template.format(entity=entity, key=key, operator=operator, listed=listed, braced=braced)
        return InvalidInput(message, "filter")

    def wrong_value(self, entity: str, key: str, found: str) -> InvalidInput:
        """The refusal of a value of the wrong type: a number for a text, a text for a number."""
        return InvalidInput(self._wrong_value(entity, key, found), "filter")

    def _wrong_value(self, entity: str, key: str, found: str) -> str:
        if entity == "metric":
            return f"Expected numeric value type for metric. Found {found}"
        if entity == "dataset":
            return f"Expected a quoted string value for dataset attributes. Got value {found}"
        if entity != "attribute":
            word = "parameter" if entity == "param" else entity
            return f"Expected a quoted string value for {word} (e.g. 'my-value'). Got value {found}"
        if self.attributes[key].is_number:
            return f"Expected numeric value type for numeric attribute: {key}. Found {found}"
        numeric = _braced(name for name, field in self.attributes.items() if field.is_number)
        return self.wording.attribute_value.format(found=found, numeric=numeric)

    def wrong_list(self, entity: str, key: str, found: str) -> InvalidInput:
        """The refusal of a list where the key takes none."""
        if entity != "attribute" or self.attributes[key].is_number:
            return self.wrong_value(entity, key, found)
        names = sorted(name for name, field in self.attributes.items() if "IN" in field.operators)
        who = f"the '{names[0]}' attribute supports" if len(names) == 1 else f"{names} attributes support"
        return InvalidInput(f"Only {who} comparison with a list of quoted string values.", "filter")


def _braced(names: Iterable[str]) -> str:
    return "{" + ", ".join(repr(name) for name in sorted(names)) + "}"


TEXT = Field("text", PATTERN)
LISTED_TEXT = Field("text", LISTED)
RUN_ID = Field("run_id", LISTED)
INTEGER = Field("integer", NUMERIC)
NUMBER = Field("number", NUMERIC)
TAG = Field("text", (*PATTERN, *PRESENCE))
LOOSE_TEXT = Field("text", LISTED, loose=True)
LOOSE_INTEGER = Field("integer", NUMERIC, loose=True)

MODELS = Schema(
    attributes={
        "aliases": Field("text", (*PATTERN, "IN")),
        "creation_timestamp": INTEGER,
        "description": TEXT,
        "last_updated_timestamp": INTEGER,
        "name": LISTED_TEXT,
    },
    mlflow_keys=("name",),
    synonyms={"alias": "aliases", "timestamp": "last_updated_timestamp"},
    entities={"tag": TAG},
    prefixes=ATTRIBUTE_PREFIXES | TAG_PREFIXES,
    order_keys={
        "last_updated_timestamp": "last_updated_timestamp",
        "name": "name",
        "timestamp": "last_updated_timestamp",
    },
    wording=Wording(
        order_key="Invalid order by key '{key}' specified. Valid keys are '{valid}'",
        order_entity="Invalid order by key '{prefix}.{key}' specified. Valid keys are '{valid}'",
    ),
)

VERSIONS = Schema(
    attributes={
        "aliases": Field("text", (*PATTERN, "IN")),
        "creation_timestamp": LOOSE_INTEGER,
        "current_stage": Field("stage", ("=", "!=", "IN", "NOT IN")),
        "description": TEXT,
        "digest": LISTED_TEXT,
        "last_updated_timestamp": LOOSE_INTEGER,
        "model_id": LISTED_TEXT,
        "name": LISTED_TEXT,
        "run_id": RUN_ID,
        "source_path": TEXT,
        "status": LISTED_TEXT,
        "user_id": TEXT,
        "version_number": LOOSE_INTEGER,
    },
    mlflow_keys=("name", "run_id", "source_path", "version_number"),
    synonyms={
        "alias": "aliases",
        "source": "source_path",
        "stage": "current_stage",
        "timestamp": "last_updated_timestamp",
        "version": "version_number",
    },
    entities={"tag": TAG},
    prefixes=ATTRIBUTE_PREFIXES | TAG_PREFIXES,
    order_keys={
        "creation_timestamp": "creation_timestamp",
        "last_updated_timestamp": "last_updated_timestamp",
        "name": "name",
        "version_number": "version_number",
    },
    wording=Wording(attribute_value="Only the '{numeric}' attributes support comparison with numeric values."),
)

EXPERIMENTS = Schema(
    attributes={
        "creation_time": INTEGER,
        "experiment_id": LISTED_TEXT,
        "last_update_time": INTEGER,
        "name": LISTED_TEXT,
    },
    synonyms={},
    entities={"tag": TAG},
    prefixes=ATTRIBUTE_PREFIXES | TAG_PREFIXES,
    order_keys={name: name for name in ("creation_time", "experiment_id", "last_update_time", "name")},
    order_repeats=True,
    wording=Wording(
        attribute_comparator="Invalid comparator '{operator}' not one of '{braced}'",
        attribute_value="Expected a quoted string value for attributes. Got value {found}",
        order_entity="Invalid order_by entity: {entity}",
    ),
)

_RUN_SYNONYMS = {
    "Created": "start_time",
    "Run Name": "run_name",
    "Run name": "run_name",
    "created": "start_time",
    "run name": "run_name",
}

_RUN_TEXTS = ("artifact_uri", "run_name", "status", "user_id")
_RUN_ATTRIBUTES = dict.fromkeys(_RUN_TEXTS, TEXT) | {"run_id": RUN_ID, "start_time": NUMBER, "end_time": NUMBER}

RUNS = Schema(
    attributes=_RUN_ATTRIBUTES,
    synonyms=_RUN_SYNONYMS,
    entities={"dataset": LISTED_TEXT, "metric": NUMBER, "param": TAG, "tag": TAG},
    prefixes=ATTRIBUTE_PREFIXES
    | TAG_PREFIXES
    | {"dataset": "dataset", "datasets": "dataset", "metric": "metric", "metrics": "metric", "run": "attribute"}
    | {"param": "param", "parameter": "param", "parameters": "param", "params": "param"},
    order_keys={name: name for name in _RUN_ATTRIBUTES} | _RUN_SYNONYMS,
    order_entities=("metric", "param", "tag"),
    wording=Wording(
        entity="Invalid entity type '{prefix}'. "
        "Valid values are ['metric', 'parameter', 'tag', 'attribute', 'dataset']",
        comparator="Invalid comparator '{operator}' not one of '{braced}'",
        attribute_comparator="Invalid comparator '{operator}' not one of '{braced}'",
        attribute_value="Expected a quoted string value for attributes. Got value {found}",
        presence="IS NULL / IS NOT NULL is only supported for tags and params, not for '{entity}' '{key}'",
        order_entity="Invalid identifier type '{entity}'",
    ),
)

_LOGGED_MODEL_TEXTS = ("model_id", "model_type", "name", "source_run_id", "status")
_LOGGED_MODEL_TIMES = ("creation_timestamp", "last_updated_timestamp")
_LOGGED_MODEL_SYNONYMS = {"creation_time": "creation_timestamp"}

LOGGED_MODELS = Schema(
    attributes=dict.fromkeys(_LOGGED_MODEL_TEXTS, LOOSE_TEXT) | dict.fromkeys(_LOGGED_MODEL_TIMES, NUMBER),
    synonyms=_LOGGED_MODEL_SYNONYMS,
    entities={
        "metric": NUMBER,
        "param": Field("text", (*LISTED, *PRESENCE), loose=True),
        "tag": Field("text", (*LISTED, *PRESENCE), loose=True),
    },
    prefixes=ATTRIBUTE_PREFIXES | {"metrics": "metric", "params": "param", "tags": "tag"},
    order_keys={name: name for name in (*_LOGGED_MODEL_TEXTS, *_LOGGED_MODEL_TIMES)} | _LOGGED_MODEL_SYNONYMS,
    order_entities=("metric",),
    order_repeats=True,
    wording=Wording(
        clause="Invalid filter string: {text!r}. Expected a list of comparisons separated by 'AND' "
        "(e.g. 'metrics.loss > 0.1 AND params.lr = 0.01').",
        entity="Invalid entity type: '{prefix}'. Expected one of ['attributes', 'metrics', 'params', 'tags'].",
        comparator="Invalid comparison operator for {entity}s.{key}: '{operator}'. Expected one of {listed}.",
        attribute_comparator="Invalid comparison operator for attributes.{key}: '{operator}'. "
        "Expected one of {listed}.",
        attribute_value="Expected a quoted string value for attributes. Got value {found}",
        presence="IS NULL / IS NOT NULL is only supported for tags and params, not for '{entity}' '{key}'",
        order_key="Invalid order by field name: {key}",
        order_entity="Invalid order by field name: {entity}s.{key}. Only metrics are supported.",
    ),
)
