"""What MLflow's files beside a model say of it, read without running anything: MLmodel and the environment's files."""

import json
from collections.abc import Mapping
from typing import Any

from modelkeep.scanner.environments import add_conda, add_python_env, add_requirements
from modelkeep.scanner.plain_yaml import NotYaml, load_yaml
from modelkeep.scanner.report import MOST_VALUES, Environment, MlmodelFacts, MlmodelFlavor, SignatureColumn
from modelkeep.scanner.scan import Scan, shown
from modelkeep.scanner.sources import OverLimit, Source, whole
from modelkeep.scanner.words import words

_LONGEST = 1 << 20
# Modules of MLflow that load a model's own format, judged by that. Those that run the model's own code are not here.
_LOADERS = frozenset(
    f"mlflow.{name}"
    for name in words(
        "catboost diviner fastai gluon h2o keras lightgbm mleap onnx paddle pmdarima prophet pyspark.ml pytorch "
        "sklearn sentence_transformers spacy spark statsmodels tensorflow transformers xgboost"
    )
)
_SIMPLE = (str, int, float, bool)


def read_metadata(scan: Scan, sources: Mapping[str, Source]) -> None:
    """Read the MLmodel file nearest to the root and the environment's files beside it."""
    models = sorted((path.count("/"), path) for path in sources if path.rpartition("/")[2] == "MLmodel")
    folder = models[0][1].removesuffix("MLmodel") if models else ""
    if models:
        _guarded(scan, models[0][1], sources, _read_mlmodel)
    environment = Environment()
    for name in ("python_env.yaml", "conda.yaml", "requirements.txt"):
        if folder + name in sources:
            _guarded(scan, folder + name, sources, lambda s, p, t: _read_environment(s, environment, p, t))
    if environment.python or environment.packages:
        scan.contents.environment = environment


def _guarded(scan: Scan, path: str, sources: Mapping[str, Source], read: Any) -> None:
    scan.file = path
    try:
        read(scan, path, whole(sources[path], _LONGEST).decode("utf-8"))
    except OverLimit as error:
        scan.report("limits.reached", f"Not all of it was read: {error}.")
    except (UnicodeDecodeError, ValueError, NotYaml, RecursionError, TypeError, AttributeError):
        scan.report("format.broken", "It cannot be read.")


def _read_environment(scan: Scan, environment: Environment, path: str, text: str) -> None:
    if path.endswith("requirements.txt"):
        add_requirements(environment, path, text)
    elif path.endswith("conda.yaml"):
        add_conda(scan, environment, path, load_yaml(text))
    else:
        add_python_env(scan, environment, path, load_yaml(text))


def _read_mlmodel(scan: Scan, path: str, text: str) -> None:
    value = load_yaml(text)
    if not isinstance(value, dict):
        raise ValueError("no mapping")
    flavors = _mapping(value.get("flavors"))
    facts = MlmodelFacts(path=path, flavors=[_flavor(name, of) for name, of in list(flavors.items())[:MOST_VALUES]])
    for field in ("model_uuid", "model_id", "run_id", "mlflow_version"):
        setattr(facts, field, _text(value.get(field)))
    facts.created = _text(value.get("utc_time_created"))
    signature = _mapping(value.get("signature"))
    facts.inputs, facts.outputs, facts.params = (_columns(signature.get(p)) for p in ("inputs", "outputs", "params"))
    example = value.get("saved_input_example_info")
    facts.input_example = _text(example.get("artifact_path")) if isinstance(example, dict) else None
    scan.contents.mlmodel = facts
    _check_flavors(scan, flavors, facts)


def _check_flavors(scan: Scan, flavors: dict[str, Any], facts: MlmodelFacts) -> None:
    for name, flavor in flavors.items():
        if not isinstance(flavor, dict):
            continue
        if flavor.get("code") or flavor.get("model_code_path"):
            scan.report("mlmodel.code", f"Flavor '{name}' brings code along that runs when the model is loaded.")
        if name != "python_function":
            continue
        facts.python_version = _text(flavor.get("python_version"))
        loader = flavor.get("loader_module")
        if loader is not None and loader not in _LOADERS:
            scan.report("mlmodel.loader", f"It is loaded by {loader}, which runs code of the model's own.")


def _mapping(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return (
        None if value is None else shown(str(value)) if isinstance(value, _SIMPLE) or hasattr(value, "year") else None
    )


def _flavor(name: Any, settings: Any) -> MlmodelFlavor:
    pairs = settings.items() if isinstance(settings, dict) else ()
    plain = {shown(str(key)): shown(str(value)) for key, value in pairs if isinstance(value, _SIMPLE)}
    return MlmodelFlavor(name=shown(str(name)), settings=dict(list(plain.items())[:MOST_VALUES]))


def _columns(text: Any) -> list[SignatureColumn] | None:
    """Columns, tensors or parameters of a signature, which is JSON in YAML."""
    if not isinstance(text, str):
        return None
    entries = json.loads(text)
    if not isinstance(entries, list):
        raise ValueError("no list")
    return [_column(entry) for entry in entries[:MOST_VALUES] if isinstance(entry, dict)]


def _column(entry: dict[str, Any]) -> SignatureColumn:
    spec = entry.get("tensor-spec")
    inner = spec if isinstance(spec, dict) else {}
    shape = inner.get("shape", entry.get("shape"))
    default = entry.get("default")
    return SignatureColumn(
        name=_text(entry.get("name")) or "",
        type=_text(inner.get("dtype", entry.get("type"))) or "",
        required=entry.get("required") is not False and entry.get("optional") is not True,
        shape=[_text(one) or "?" for one in shape[:64]] if isinstance(shape, list) else None,
        default=None if default is None else shown(json.dumps(default), 200),
    )
