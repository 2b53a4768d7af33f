"""The language of MLflow filters, read into trees that `compile` turns into bound SQL.

Beyond MLflow it knows OR, NOT and parentheses. One pass over the text, and a cap on everything that grows.
"""

import math
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from modelkeep.core.errors import InvalidInput
from modelkeep.search.schemas import PRESENCE, Field, Schema
from modelkeep.search.tokens import Token, check_text, number_of, tokens

MAX_FILTER_BYTES = 16 * 1024
MAX_COMPARISONS = 100
MAX_DEPTH = 20
MAX_MEMBERS = 1000

STAGES = ("None", "Staging", "Production", "Archived")
PROMPT_TAG = "mlflow.prompt.is_prompt"

Value: TypeAlias = str | int | float | tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One condition on one key.

    `value` is a tuple for IN and NOT IN (an empty one has nothing in it), None for IS NULL and IS NOT NULL.
    """

    entity: str
    key: str
    operator: str
    value: Value


@dataclass(frozen=True, slots=True)
class And:
    """All of two or more terms."""

    terms: "tuple[Expr, ...]"


@dataclass(frozen=True, slots=True)
class Or:
    """Any of two or more terms."""

    terms: "tuple[Expr, ...]"


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of a term."""

    term: "Expr"


Expr: TypeAlias = Comparison | And | Or | Not


class PromptScope(Enum):
    """What a registry search looks through; with ALL the filter itself says which."""

    MODELS = "models"
    PROMPTS = "prompts"
    ALL = "all"


def parse_filter(text: str | None, schema: Schema) -> Expr | None:
    """The tree of a filter, or None where there is nothing to filter by.

    InvalidInput: not the language, not a key or operator of this search, or past one of the limits above.
    """
    if text is None:
        return None
    check_text(text, MAX_FILTER_BYTES, "filter")
    if not text.strip():
        return None
    return _Parser(text, schema).parse()


def prompt_scope(expr: Expr | None) -> tuple[PromptScope, Expr | None]:
    """Whether a registry search wants models or prompts, and the filter without the comparisons that said so.

    Only comparisons that must hold in any case count. Where the tag is used otherwise, or against itself, the filter is
    left whole and decides over both.
    """
    terms = _conjuncts(expr)
    wanted = {scope for term in terms if (scope := _wanted(term)) is not None}
    if len(wanted) == 1:
        return wanted.pop(), _conjunction([term for term in terms if _wanted(term) is None])
    if any(_mentions_prompts(term) for term in terms):
        return PromptScope.ALL, expr
    return PromptScope.MODELS, expr


def _conjuncts(expr: Expr | None) -> list[Expr]:
    if expr is None:
        return []
    if isinstance(expr, And):
        return [term for part in expr.terms for term in _conjuncts(part)]
    return [expr]


def _conjunction(terms: list[Expr]) -> Expr | None:
    if len(terms) < 2:
        return terms[0] if terms else None
    return And(tuple(terms))


def _wanted(term: Expr) -> PromptScope | None:
    if not isinstance(term, Comparison) or (term.entity, term.key) != ("tag", PROMPT_TAG):
        return None
    if (term.operator, term.value) in (("=", "true"), ("!=", "false")):
        return PromptScope.PROMPTS
    if (term.operator, term.value) in (("=", "false"), ("!=", "true")):
        return PromptScope.MODELS
    return None


def _mentions_prompts(expr: Expr) -> bool:
    if isinstance(expr, Comparison):
        return (expr.entity, expr.key) == ("tag", PROMPT_TAG)
    terms = (expr.term,) if isinstance(expr, Not) else expr.terms
    return any(_mentions_prompts(term) for term in terms)


_WORD_OPERATORS = ("LIKE", "ILIKE", "IN", "NOT LIKE", "NOT ILIKE", "NOT IN", *PRESENCE)
_KEYWORDS = ("AND", "OR", "NOT")
_NOT_VALUES = (*_KEYWORDS, "TRUE", "FALSE")
_BAD_LIST = "While parsing a list in the query, expected a non-empty list of string values, but got {}"


@dataclass(frozen=True, slots=True)
class _Clause:
    """A comparison whose shape is right and whose meaning is not looked at yet; `found` is its value as written."""

    key: Token
    operator: str
    operands: tuple[Token, ...]
    found: str


class _Parser:
    """Recursive descent over the tokens: NOT binds tighter than AND, AND tighter than OR."""

    def __init__(self, text: str, schema: Schema) -> None:
        self._text = text
        self._schema = schema
        self._tokens = tokens(text)
        self._at = 0
        self._comparisons = 0

    def parse(self) -> Expr:
        if self._tokens[-2].kind == "stray":
            raise self._bad(self._tokens[-2].start)
        expr = self._any(0)
        if self._peek.kind != "end":
            raise self._left_over()
        return expr

    def _any(self, depth: int) -> Expr:
        terms = [self._all(depth)]
        while self._take("OR"):
            terms.append(self._all(depth))
        return terms[0] if len(terms) == 1 else Or(tuple(terms))

    def _all(self, depth: int) -> Expr:
        terms = [self._term(depth)]
        while self._take("AND"):
            terms.append(self._term(depth))
        return terms[0] if len(terms) == 1 else And(tuple(terms))

    def _term(self, depth: int) -> Expr:
        if depth > MAX_DEPTH:
            raise _refused(f"'filter' is nested deeper than {MAX_DEPTH} levels")
        if self._take("NOT"):
            return Not(self._term(depth + 1))
        if not self._take("("):
            return _comparison(self._clause(), self._schema)
        start, expr = self._peek.start, self._any(depth + 1)
        if not self._take(")"):
            raise self._bad(start)
        return expr

    def _clause(self) -> _Clause:
        self._comparisons += 1
        if self._comparisons > MAX_COMPARISONS:
            raise _refused(f"'filter' has more than {MAX_COMPARISONS} comparisons")
        key = self._next()
        if key.kind in ("number", "string") and not key.names:
            raise _refused(f"Invalid comparison clause. Expected 'Identifier' found '{_excerpt(key.raw)}'")
        if not key.names or key.raw.upper() in _KEYWORDS:
            raise self._bad(key.start)
        operator, start = self._operator(key.start), self._peek.start
        operands = self._operands(operator, key.start)
        return _Clause(key, operator, operands, _excerpt(self._text[start : self._tokens[self._at - 1].end]))

    def _operator(self, start: int) -> str:
        token = self._next()
        if token.kind == "operator":
            return token.raw
        words = token.raw.upper()
        while words in ("NOT", "IS", "IS NOT"):
            words = f"{words} {self._next().raw.upper()}"
        if words not in _WORD_OPERATORS:
            raise self._bad(start)
        return words

    def _operands(self, operator: str, start: int) -> tuple[Token, ...]:
        if operator in PRESENCE:
            return ()
        if operator in ("IN", "NOT IN"):
            return self._members(start)
        token = self._next()
        if token.kind not in ("string", "number", "word") or token.raw.upper() in _NOT_VALUES:
            raise self._bad(start)
        return (token,)

    def _members(self, start: int) -> tuple[Token, ...]:
        members: list[Token] = []
        if not self._take("("):
            raise self._bad(start)
        while not self._take(")"):
            members.append(self._member(start))
            if len(members) > MAX_MEMBERS:
                raise _refused(f"'filter' has a list of more than {MAX_MEMBERS} members")
        if not members:
            raise _refused(_BAD_LIST.format("empty list"))
        return tuple(members)

    def _member(self, start: int) -> Token:
        """One member and the comma after it, which the last one may have too."""
        token = self._next()
        if token.kind == "end" or (not self._take(",") and self._peek.kind == "end"):
            raise self._bad(start)
        separated = self._tokens[self._at - 1].raw == "," or self._peek.raw == ")"
        if token.kind not in ("string", "number", "word") or not separated:
            raise _refused(_BAD_LIST.format("ill-formed list."))
        return token

    @property
    def _peek(self) -> Token:
        return self._tokens[self._at]

    def _next(self) -> Token:
        token = self._tokens[self._at]
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def _take(self, raw: str) -> bool:
        """Step over a mark or a keyword, if it is next."""
        found = self._peek.kind in ("mark", "word") and self._peek.raw.upper() == raw
        self._at += found
        return found

    def _bad(self, start: int) -> InvalidInput:
        clause = self._text[start:].strip() or self._text.strip()
        return _refused(self._schema.wording.clause.format(clause=_excerpt(clause), text=_excerpt(self._text)))

    def _left_over(self) -> InvalidInput:
        if self._peek.raw == ";" and self._tokens[self._at + 1].kind != "end":
            several = f'Search filter contained multiple expression "{_excerpt(self._text)}".'
            return _refused(f"{several} Provide AND-ed expression list.")
        return self._bad(self._peek.start)


def _refused(message: str) -> InvalidInput:
    return InvalidInput(message, "filter")


def _excerpt(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}..."


def _comparison(clause: _Clause, schema: Schema) -> Comparison:
    entity, key = schema.resolve(clause.key.prefix, clause.key.name)
    value = _value(clause, entity, key, schema)
    if clause.operator not in schema.field(entity, key).operators:
        raise schema.wrong_comparator(entity, key, clause.operator)
    return Comparison(entity, key, clause.operator, value)


def _value(clause: _Clause, entity: str, key: str, schema: Schema) -> Value:
    field = schema.field(entity, key)
    if clause.operator in PRESENCE:
        return None
    if clause.operator in ("IN", "NOT IN"):
        if "IN" not in field.operators:
            raise schema.wrong_list(entity, key, clause.found)
        return _list(clause, field)
    return _number(clause, entity, key, schema) if field.is_number else _text(clause, entity, key, schema)


def _list(clause: _Clause, field: Field) -> tuple[str, ...]:
    if any(token.kind != "string" for token in clause.operands):
        wanted = "expected string value, punctuation, or whitespace, but got different type in list"
        raise _refused(f"While parsing a list in the query, {wanted}: {clause.found}")
    members = tuple(token.name for token in clause.operands)
    if field.kind == "stage":
        return tuple(map(_stage, members))
    return tuple(name for name in members if name == name.lower()) if field.kind == "run_id" else members


def _text(clause: _Clause, entity: str, key: str, schema: Schema) -> str:
    field, token = schema.field(entity, key), clause.operands[0]
    if token.kind == "word":
        wrong = "Parameter value is either not quoted or unidentified quote types used for string value"
        raise _refused(f"{wrong} {clause.found}. Use either single or double quotes.")
    if token.kind == "number" and not field.loose:
        raise schema.wrong_value(entity, key, clause.found)
    text = token.name if token.kind == "string" else token.raw
    return _stage(text) if field.kind == "stage" else text


def _stage(text: str) -> str:
    for stage in STAGES:
        if stage.lower() == text.lower():
            return stage
    raise _refused(f"Invalid Model Version stage: {_excerpt(text)}. Value must be one of {', '.join(STAGES)}.")


def _number(clause: _Clause, entity: str, key: str, schema: Schema) -> int | float:
    field, token = schema.field(entity, key), clause.operands[0]
    quoted = token.kind == "string"
    number = number_of(token.name if quoted else token.raw)
    if number is None or (quoted and not field.loose):
        raise schema.wrong_value(entity, key, clause.found)
    fits = abs(number) < 2**63 if entity == "attribute" else math.isfinite(number)
    if not fits or (field.kind == "integer" and isinstance(number, float)):
        raise _refused(f"Invalid value for numeric {entity} '{key}': {clause.found}")
    return number
