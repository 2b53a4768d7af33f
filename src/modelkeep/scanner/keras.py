"""Keras' configurations: JSON that names the classes to build. Those of Keras are known; code of their own is not."""

import re
from typing import Any

from modelkeep.scanner.scan import Scan
from modelkeep.scanner.sources import OverLimit

_DEEPEST = 100
_OWN_CODE = {"Lambda", "TorchModuleWrapper", "TFSMLayer", "FlaxLayer", "JaxLayer", "__lambda__"}
_MODULE = re.compile(
    r"(tf_keras|tensorflow\.keras|keras)(\.src)?\.(activations|constraints|dtype_policies|engine|initializers|layers|losses"
    r"|metrics|models|mixed_precision|optimizers|regularizers)(\.[a-z_0-9]+)*|keras|tf_keras|builtins"
)
_CLASS = re.compile(r"[A-Z][A-Za-z0-9]*|function|dtype|__tensor__|__numpy__|__tuple__|__bytes__")


def is_configuration(value: Any) -> bool:
    """Whether a JSON value is a Keras model's configuration."""
    return isinstance(value, dict) and isinstance(value.get("class_name"), str) and "config" in value


def check_configuration(scan: Scan, value: Any, depth: int = 0) -> None:
    """Report every class in a configuration that is not one of Keras' own."""
    if depth > _DEEPEST:
        raise OverLimit("the configuration is too deep")
    if isinstance(value, dict):
        if isinstance(value.get("class_name"), str):
            _check_class(scan, value)
        for inner in value.values():
            check_configuration(scan, inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            check_configuration(scan, inner, depth + 1)


def _check_class(scan: Scan, value: dict[str, Any]) -> None:
    name, module, registered = value["class_name"], value.get("module"), value.get("registered_name")
    if name in _OWN_CODE:
        scan.report("keras.code", f"A layer '{name}' brings code of its own.")
    elif module is not None and not (isinstance(module, str) and _MODULE.fullmatch(module)):
        scan.report("keras.import", f"It builds {name} of module '{module}', which is not of Keras.")
    elif not _CLASS.fullmatch(name.rpartition(">")[2]):
        scan.report("keras.import", f"It builds '{name}', which is no class of Keras.")
    elif ">" in name or (isinstance(registered, str) and ">" in registered) or _is_own_function(name, module, value):
        scan.report("keras.custom", f"It builds '{registered or name}', a class or function that it does not hold.")


def _is_own_function(name: str, module: Any, value: dict[str, Any]) -> bool:
    return name == "function" and (module != "keras.activations" or not isinstance(value.get("config"), str))
