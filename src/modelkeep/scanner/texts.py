"""Texts: source code, JSON with configurations, YAML with tags, templates. What they are is judged by what they say."""

import re
from typing import Any

import msgspec

from modelkeep.scanner.environments import check_requirements
from modelkeep.scanner.keras import check_configuration, is_configuration
from modelkeep.scanner.pickles import Attempt, try_pickle
from modelkeep.scanner.plain_yaml import tags
from modelkeep.scanner.scan import Scan
from modelkeep.scanner.sources import Broken, OverLimit, Source
from modelkeep.scanner.templates import check_template

_LONGEST = 16 << 20
_MOST_PICKLES = 1_000
_CODE_NAMES = re.compile(r"\.(py|pyw|pyx|sh|bash|bat|cmd|ps1|js|mjs|rb|pl|lua|php|r|R|jl|ts)$")
_CODE = re.compile(
    r"^[ \t]*(from [\w.]+ import [\w*(, ]+|import [a-zA-Z_][\w.]*( as \w+)?[ \t]*(#.*)?$"
    r"|def \w+\(.*|class \w+[^:\n]*:[ \t]*$)",
    re.MULTILINE,
)
_PYTHON_TAG = re.compile(r"python|!!|tag:yaml", re.IGNORECASE)
_TEMPLATE_KEYS = {"chat_template", "template"}


def is_text(head: bytes, size: int) -> bool:
    """Whether the first bytes of so many read as UTF-8 text, but for a character that is cut."""
    if b"\0" in head:
        return False
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if len(head) == size or error.start < len(head) - 4:
            return False
        text = head[: error.start].decode("utf-8")
    return not re.search(r"[\x01-\x08\x0e-\x1a\x1c-\x1f]", text)


def inspect_text(scan: Scan, source: Source, name: str) -> str:
    """Report what a text would do; what kind it is."""
    if source.size() > _LONGEST:
        return _inspect_long(scan, source, name)
    content = source.read_at(0, _LONGEST)
    _check_pickle(scan, source)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Broken("it begins as a text and goes on as none") from error
    if "\0" in text:
        raise Broken("it begins as a text and goes on as none")
    return _by_content(scan, text, name)


def _by_content(scan: Scan, text: str, name: str) -> str:
    base = name.rpartition("/")[2].lower()
    if text.startswith("#!") or _CODE_NAMES.search(base):
        scan.report("code", "It is source code, which runs by design.")
        return "source code"
    stripped = text.lstrip()
    if stripped[:1] in {"{", "["} and _is_json(scan, text):
        return "json"
    if base.endswith((".yaml", ".yml")) or base == "mlmodel" or _PYTHON_TAG.search(text):
        _check_yaml(scan, text)
    if base.startswith("requirements") or "-requirements" in base:
        check_requirements(scan, text)
    if base.endswith((".jinja", ".jinja2", ".j2", ".tmpl")):
        check_template(scan, "text.template", text)
    elif len(_CODE.findall(text[:200_000])) >= 2 and not base.endswith((".md", ".rst")):
        scan.report("code", "It reads as source code, which runs by design.")
        return "source code"
    return "yaml" if base.endswith((".yaml", ".yml")) or base == "mlmodel" else "text"


def _is_json(scan: Scan, text: str) -> bool:
    try:
        value = msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, RecursionError):
        return False
    if is_configuration(value):
        check_configuration(scan, value)
    _check_values(scan, value, 0)
    return True


def _check_values(scan: Scan, value: Any, depth: int) -> None:
    """Look through JSON for templates, own code of Hugging Face models, and Keras' layers of code."""
    if depth > 200:
        raise OverLimit("its values lie too deep in one another")
    if isinstance(value, list):
        for inner in value:
            _check_values(scan, inner, depth + 1)
    elif isinstance(value, dict):
        if "auto_map" in value:
            scan.report("code", "It asks for classes that the model brings along as source code (auto_map).")
        if value.get("class_name") == "Lambda" and depth:
            check_configuration(scan, value)
        for key, inner in value.items():
            if key in _TEMPLATE_KEYS and isinstance(inner, str):
                check_template(scan, "text.template", inner)
            _check_values(scan, inner, depth + 1)


def _check_yaml(scan: Scan, text: str) -> None:
    """Report tags that make Python objects. Events only: nothing is put together, so aliases cost nothing."""
    if "!" not in text and "%" not in text:
        return
    for tag in tags(text):
        if "python" in tag.lower():
            scan.report("yaml.python", f"A tag in it makes Python objects: {tag}.")


def _check_pickle(scan: Scan, source: Source) -> None:
    """The first protocol of pickles is text: what reads as one and does something is one; several may follow."""
    attempt = try_pickle(source)
    _tell(scan, attempt)
    for _ in range(_MOST_PICKLES):
        if not attempt.ended:
            return
        attempt = try_pickle(source, attempt.position)
        _tell(scan, attempt)
    scan.report("limits.reached", "Not all of it was looked at: it holds too many pickles.")


def _tell(scan: Scan, attempt: Attempt) -> None:
    if attempt.is_too_long:
        scan.report("limits.reached", "Not all of it was looked at: a line is too long.")
    if attempt.calls or attempt.changes or (attempt.ended and attempt.imports):
        for rule, text in attempt.findings:
            scan.report(rule, text)
        if not attempt.findings and not attempt.ended:
            scan.report("pickle.broken", "It reads as a pickle that breaks off.")


def _inspect_long(scan: Scan, source: Source, name: str) -> str:
    """Long texts are data; their beginning and whether they are text throughout is looked at."""
    step = 1 << 20
    first = source.read_at(0, step)
    if first.startswith(b"#!") or _CODE_NAMES.search(name.lower()):
        scan.report("code", "It is source code, which runs by design.")
    if first.lstrip()[:1] == b"{" and b"class_name" in first:
        raise OverLimit("the configuration is too long")
    if _PYTHON_TAG.search(first.decode("utf-8", "replace")) and b"!" in first:
        raise OverLimit("the YAML is too long")
    for offset in range(0, source.size(), step):
        if b"\0" in source.read_at(offset, step):
            raise Broken("it begins as a text and goes on as none")
    _check_pickle(scan, source)
    return "text"
