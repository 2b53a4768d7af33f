"""The filter language: what parses, to which tree, and what is refused in which words."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from modelkeep.core.errors import InvalidInput
from modelkeep.search.grammar import (
    MAX_COMPARISONS,
    MAX_DEPTH,
    MAX_FILTER_BYTES,
    MAX_MEMBERS,
    PROMPT_TAG,
    And,
    Comparison,
    Expr,
    Not,
    Or,
    PromptScope,
    parse_filter,
    prompt_scope,
)
from modelkeep.search.order import MAX_ORDER_CLAUSES, OrderField, OrderKey, logged_model_order, parse_order
from modelkeep.search.schemas import EXPERIMENTS, LOGGED_MODELS, MODELS, RUNS, VERSIONS, Schema

SCHEMAS = {"models": MODELS, "versions": VERSIONS, "experiments": EXPERIMENTS, "runs": RUNS, "logged": LOGGED_MODELS}
BOUND = 2**63


def attribute(key: str, operator: str, value: object) -> Comparison:
    return Comparison("attribute", key, operator, value)


def refusal(text: str, schema: Schema) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        parse_filter(text, schema)
    return caught.value


def order_refusal(clauses: list[str], schema: Schema) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        parse_order(clauses, schema)
    return caught.value


@pytest.mark.parametrize("text", [None, "", "  \n\t "])
def test_nothing_to_filter_by(text: str | None) -> None:
    """No text and blank text mean no filter."""
    assert parse_filter(text, MODELS) is None


@pytest.mark.parametrize(
    ("search", "text", "expected"),
    [
        ("models", "name = 'a'", attribute("name", "=", "a")),
        ("models", "  name='a' ", attribute("name", "=", "a")),
        ("models", "attribute.name != 'a'", attribute("name", "!=", "a")),
        ("models", 'attributes.name ilike "A%"', attribute("name", "ILIKE", "A%")),
        ("models", "attr.`name` Like 'a_'", attribute("name", "LIKE", "a_")),
        ("models", "alias IN ('champion')", attribute("aliases", "IN", ("champion",))),
        ("models", "last_updated_timestamp >= 17", attribute("last_updated_timestamp", ">=", 17)),
        ("models", "tags.`a b` = 'x'", Comparison("tag", "a b", "=", "x")),
        ("models", "tag.\"a.b\" = 'x'", Comparison("tag", "a.b", "=", "x")),
        ("models", "tags.x is not null", Comparison("tag", "x", "IS NOT NULL", None)),
        ("versions", "run_id IN ('a1', 'B2', '33')", attribute("run_id", "IN", ("a1", "33"))),
        ("versions", "run_id IN ('B2')", attribute("run_id", "IN", ())),
        ("versions", "run_id NOT IN ('a1',)", attribute("run_id", "NOT IN", ("a1",))),
        ("versions", "version_number > '3'", attribute("version_number", ">", 3)),
        ("versions", "version=+3", attribute("version_number", "=", 3)),
        ("versions", "creation_timestamp<-1", attribute("creation_timestamp", "<", -1)),
        ("versions", "stage = 'production'", attribute("current_stage", "=", "Production")),
        ("versions", "current_stage IN ('NONE', 'staging')", attribute("current_stage", "IN", ("None", "Staging"))),
        ("versions", "source = 's3://b'", attribute("source_path", "=", "s3://b")),
        ("versions", "name = 'it''s'", attribute("name", "=", "it's")),
        ("versions", 'name = "say ""hi"" \\"', attribute("name", "=", 'say "hi" \\')),
        ("experiments", "creation_time <= 5", attribute("creation_time", "<=", 5)),
        ("experiments", "experiment_id IN ('1','2')", attribute("experiment_id", "IN", ("1", "2"))),
        ("runs", "Created > 1", attribute("start_time", ">", 1)),
        ("runs", "run.`Run name` = 'a'", attribute("run_name", "=", "a")),
        ("runs", "\"run_name\" = 'a'", attribute("run_name", "=", "a")),
        ("runs", "end_time > 1.5", attribute("end_time", ">", 1.5)),
        ("runs", "metrics.val/loss-1>-.5e-3", Comparison("metric", "val/loss-1", ">", -0.0005)),
        ("runs", "`metrics`.`x y` = 1", Comparison("metric", "x y", "=", 1)),
        ("runs", f"metric.x > {BOUND}", Comparison("metric", "x", ">", float(BOUND))),
        ("runs", f"metric.x > {BOUND - 1}", Comparison("metric", "x", ">", BOUND - 1)),
        ("runs", "tags.mlflow.runName = 'a'", Comparison("tag", "mlflow.runName", "=", "a")),
        ("runs", "tags.and = 'x'", Comparison("tag", "and", "=", "x")),
        ("runs", "parameters.lr IS NULL", Comparison("param", "lr", "IS NULL", None)),
        ("runs", "params.größe = '1'", Comparison("param", "größe", "=", "1")),
        ("runs", "dataset.digest NOT IN ('a','b')", Comparison("dataset", "digest", "NOT IN", ("a", "b"))),
        ("logged", "creation_time > 1", attribute("creation_timestamp", ">", 1)),
        ("logged", "params.lr = 0.010", Comparison("param", "lr", "=", "0.010")),
        ("logged", "tags.x IN ('a')", Comparison("tag", "x", "IN", ("a",))),
    ],
)
def test_a_comparison_is_read(search: str, text: str, expected: Comparison) -> None:
    """Each spelling of a key, operator and value comes out canonical, and an integer stays an integer."""
    found = parse_filter(text, SCHEMAS[search])
    assert found == expected
    assert type(found.value) is type(expected.value)


A, B, C = (attribute("name", "=", letter) for letter in "abc")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name='a' AND name='b' and name='c'", And((A, B, C))),
        ("name='a' OR name='b' AND name='c'", Or((A, And((B, C))))),
        ("(name='a' or name='b')AND name='c'", And((Or((A, B)), C))),
        ("NOT name='a' AND name='b'", And((Not(A), B))),
        ("not(name='a' AND NOT (name='b'))", Not(And((A, Not(B))))),
        ("((name='a'))", A),
        ("name='a'AND(name='b')", And((A, B))),
    ],
)
def test_precedence(text: str, expected: Expr) -> None:
    """NOT binds tighter than AND, AND tighter than OR, parentheses tightest, whatever the case and the blanks."""
    assert parse_filter(text, MODELS) == expected


@pytest.mark.parametrize(
    ("search", "text", "message"),
    [
        (
            "models",
            "run_id = 'a'",
            "Invalid attribute key 'run_id' specified. Valid keys are '{'name'}'; here also",
        ),
        ("models", "foo.bar = 'a'", "Invalid entity type 'foo'. Valid entity types are ('attribute', 'tag', 'tags')"),
        ("models", "metrics.a > 1", "Invalid entity type 'metrics'. Valid entity types are ("),
        ("models", "name > 'a'", "Invalid comparator for attribute: >"),
        ("models", "name == 'a'", "Invalid comparator for attribute: =="),
        ("models", "name NOT LIKE 'a'", "Invalid comparator for attribute: NOT LIKE"),
        ("models", "tags.x > 'a'", "Invalid comparator for tag: >"),
        ("models", "name != something", "Parameter value is either not quoted or unidentified quote types used for "),
        ("models", "name = `a`", "Parameter value is either not quoted or unidentified quote types used for "),
        ("models", "name = 1", "Expected a quoted string value or a list of quoted string values for attributes. Got"),
        ("models", "tags.x = 1", "Expected a quoted string value for tag (e.g. 'my-value'). Got value 1"),
        ("models", "tags.x IN ('a')", "Expected a quoted string value for tag (e.g. 'my-value'). Got value ('a')"),
        ("models", "description IN ('a')", "Only ['aliases', 'name'] attributes support comparison with a list of "),
        ("models", "name IS NULL", "IS NULL / IS NOT NULL is only supported for tags, not for attribute 'name'"),
        ("models", "evilhax = true", "Invalid clause(s) in filter string: evilhax = true"),
        ("models", "name = 'a' name = 'b'", "Invalid clause(s) in filter string: name = 'b'"),
        ("models", "name = 'a' AND", "Invalid clause(s) in filter string: "),
        ("models", "name = 'a' NAND name = 'b'", "Invalid clause(s) in filter string: NAND"),
        ("models", "name = 'a", "Invalid clause(s) in filter string: 'a"),
        ("models", "name = a'", "Invalid clause(s) in filter string: '"),
        ("models", "(name = 'a'", "Invalid clause(s) in filter string: name = 'a'"),
        ("models", "name = 'a')", "Invalid clause(s) in filter string: )"),
        ("models", "NOT", "Invalid clause(s) in filter string: NOT"),
        ("models", "name", "Invalid clause(s) in filter string: name"),
        ("models", "AND = 'a'", "Invalid clause(s) in filter string: AND = 'a'"),
        ("models", "= 'a'", "Invalid clause(s) in filter string: = 'a'"),
        ("models", "tags. = 'a'", "Invalid clause(s) in filter string: "),
        ("models", "name IN 'a'", "Invalid clause(s) in filter string: name IN 'a'"),
        ("models", "name IN ('a'", "Invalid clause(s) in filter string: name IN ('a'"),
        ("models", "name IS 'a'", "Invalid clause(s) in filter string: name IS 'a'"),
        ("models", "name = 'a' -- c", "Invalid clause(s) in filter string: -- c"),
        ("models", "name = 'a' /* c */", "Invalid clause(s) in filter string: /* c */"),
        ("models", "name = \u2019a\u2019", "Invalid clause(s) in filter string: \u2019a\u2019"),
        ("models", "name = 'a';", "Invalid clause(s) in filter string: ;"),
        ("models", "name='a'; name='b'", "Search filter contained multiple expression \"name='a'; name='b'\". Provide"),
        ("models", "' OR 1=1 --", "Invalid clause(s) in filter string: ' OR 1=1 --"),
        ("models", "1 = 1", "Invalid comparison clause. Expected 'Identifier' found '1'"),
        ("models", "'name' = 'a'", "Invalid comparison clause. Expected 'Identifier' found ''name''"),
        ("versions", "name = 1", "Only the '{'creation_timestamp', 'last_updated_timestamp', 'version_number'}' attr"),
        ("versions", "version_number >= 1.5", "Invalid value for numeric attribute 'version_number': 1.5"),
        ("versions", "version_number = 'abc'", "Expected numeric value type for numeric attribute: version_number. F"),
        ("versions", "version_number LIKE 1", "Invalid comparator for attribute: LIKE"),
        ("versions", f"version_number = {BOUND}", "Invalid value for numeric attribute 'version_number': 92233720368"),
        ("versions", "version_number = " + "9" * 5000, "Invalid value for numeric attribute 'version_number': 999"),
        ("versions", "current_stage = 'x'", "Invalid Model Version stage: x. Value must be one of None, Staging, "),
        ("versions", "current_stage LIKE 'None'", "Invalid comparator for attribute: LIKE"),
        ("versions", "aliases NOT IN ('a')", "Invalid comparator for attribute: NOT IN"),
        ("versions", "run_id IN ()", "While parsing a list in the query, expected a non-empty list of string values, "),
        (
            "versions",
            "run_id IN (,)",
            "While parsing a list in the query, expected a non-empty list of string values, ",
        ),
        ("versions", "run_id IN ('a',,'b')", "While parsing a list in the query, expected a non-empty list of string"),
        ("versions", "run_id IN ('a' 'b')", "While parsing a list in the query, expected a non-empty list of string"),
        ("versions", "run_id IN (1, 2)", "While parsing a list in the query, expected string value, punctuation, or "),
        ("experiments", "name > 'a'", "Invalid comparator '>' not one of '{'!=', '=', 'ILIKE', 'IN', 'LIKE', 'NOT IN'"),
        ("experiments", "creation_time > '1'", "Expected numeric value type for numeric attribute: creation_time. Fou"),
        ("runs", "name = 'a'", "Invalid attribute key 'name' specified. Valid keys are '{'Created', "),
        (
            "runs",
            "m.acc > 1",
            "Invalid entity type 'm'. Valid values are ['metric', 'parameter', 'tag', 'attribute', 'da",
        ),
        ("runs", "metrics.x > 'a'", "Expected numeric value type for metric. Found 'a'"),
        ("runs", "metrics.x > metrics.y", "Expected numeric value type for metric. Found metrics.y"),
        ("runs", "metrics.x > nan", "Expected numeric value type for metric. Found nan"),
        ("runs", "metrics.x > 1e999", "Invalid value for numeric metric 'x': 1e999"),
        ("runs", "metrics.x = 1.0.0", "Invalid clause(s) in filter string: 1.0.0"),
        (
            "runs",
            "metrics.x IS NULL",
            "IS NULL / IS NOT NULL is only supported for tags and params, not for 'metric' 'x'",
        ),
        ("runs", "params.x = 1", "Expected a quoted string value for parameter (e.g. 'my-value'). Got value 1"),
        ("runs", "params.x = = 'a'", "Invalid clause(s) in filter string: params.x = = 'a'"),
        ("runs", "tags.`a`b` = 'x'", "Invalid clause(s) in filter string: "),
        (
            "runs",
            "status IN ('a')",
            "Only the 'run_id' attribute supports comparison with a list of quoted string valu",
        ),
        (
            "runs",
            "dataset.foo = 'a'",
            "Invalid dataset key 'foo' specified. Valid keys are '{'context', 'digest', 'name'}",
        ),
        ("runs", "dataset.name = 1", "Expected a quoted string value for dataset attributes. Got value 1"),
        ("runs", f"start_time = {BOUND}", "Invalid value for numeric attribute 'start_time': 9223372036854775808"),
        ("runs", "start_time = 1e300", "Invalid value for numeric attribute 'start_time': 1e300"),
        (
            "logged",
            "tag.x = 'a'",
            "Invalid entity type: 'tag'. Expected one of ['attributes', 'metrics', 'params', 'tags']",
        ),
        ("logged", "name > 'a'", "Invalid comparison operator for attributes.name: '>'. Expected one of ('=', '!=', "),
        (
            "logged",
            "metrics.x LIKE 1",
            "Invalid comparison operator for metrics.x: 'LIKE'. Expected one of ('<', '<=',",
        ),
        (
            "logged",
            "name =",
            "Invalid filter string: 'name ='. Expected a list of comparisons separated by 'AND' (e.g. ",
        ),
    ],
)
def test_a_refusal_reads_as_clients_expect(search: str, text: str, message: str) -> None:
    """What is wrong is said in the words that MLflow clients match on, and names the filter as the bad input."""
    error = refusal(text, SCHEMAS[search])
    assert error.message.startswith(message)
    assert error.field == "filter"


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("name = '" + "a" * MAX_FILTER_BYTES + "'", str(MAX_FILTER_BYTES)),
        ("name = '" + "ä" * (MAX_FILTER_BYTES // 2) + "'", str(MAX_FILTER_BYTES)),
        (" AND ".join(["name = 'a'"] * (MAX_COMPARISONS + 1)), str(MAX_COMPARISONS)),
        (" OR ".join(["name = 'a'"] * 1100), str(MAX_COMPARISONS)),
        ("(" * (MAX_DEPTH + 1) + "name = 'a'" + ")" * (MAX_DEPTH + 1), str(MAX_DEPTH)),
        ("(" * 10_000 + "name = 'a'", str(MAX_DEPTH)),
        ("NOT " * 3_000 + "name = 'a'", str(MAX_DEPTH)),
        ("name IN (" + "'a'," * (MAX_MEMBERS + 1) + ")", str(MAX_MEMBERS)),
        ("name = 'a\x00'", "NUL"),
        ("name = '\ud800'", "lone surrogate"),
    ],
)
def test_bombs_are_refused(text: str, limit: str) -> None:
    """A filter past a limit, or with text that no database stores, is refused and told which limit it broke."""
    assert limit in refusal(text, MODELS).message


def test_the_limits_themselves_are_allowed() -> None:
    """Exactly the most comparisons, levels and members still parse."""
    whole = parse_filter(" AND ".join(["name = 'a'"] * MAX_COMPARISONS), MODELS)
    assert whole == And((A,) * MAX_COMPARISONS)
    assert parse_filter("(" * MAX_DEPTH + "name = 'a'" + ")" * MAX_DEPTH, MODELS) == A
    many = parse_filter("name IN (" + "'a'," * MAX_MEMBERS + ")", MODELS)
    assert many == attribute("name", "IN", ("a",) * MAX_MEMBERS)


def render(expr: Expr) -> str:
    """The text of a tree, every inner term in parentheses."""
    match expr:
        case Comparison(entity, key, operator, value):
            quoted = key.replace("`", "``")
            return f"{entity}.`{quoted}` {operator} {render_value(value)}"
        case Not(term):
            return f"NOT ({render(term)})"
        case And(terms):
            return " AND ".join(f"({render(term)})" for term in terms)
        case Or(terms):
            return " OR ".join(f"({render(term)})" for term in terms)


def render_value(value: str | int | float | tuple[str, ...] | None) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(render_value, value)) + ")"
    return "" if value is None else repr(value)


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8)
KEYS = TEXTS.filter(bool)
PATTERNS = st.sampled_from(["=", "!=", "LIKE", "ILIKE"])
ORDERS = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
LISTS = st.lists(TEXTS, min_size=1, max_size=3).map(tuple)
INTEGERS = st.integers(1 - BOUND, BOUND - 1)
NUMBERS = INTEGERS | st.floats(allow_nan=False, allow_infinity=False)
PRESENCE = st.sampled_from(["IS NULL", "IS NOT NULL"])

COMPARISONS = st.one_of(
    st.builds(Comparison, st.just("attribute"), st.sampled_from(["run_name", "status", "user_id"]), PATTERNS, TEXTS),
    st.builds(Comparison, st.just("attribute"), st.sampled_from(["start_time", "end_time"]), ORDERS, INTEGERS),
    st.builds(Comparison, st.sampled_from(["tag", "param"]), KEYS, PATTERNS, TEXTS),
    st.builds(Comparison, st.sampled_from(["tag", "param"]), KEYS, PRESENCE, st.none()),
    st.builds(Comparison, st.just("metric"), KEYS, ORDERS, NUMBERS),
    st.builds(Comparison, st.just("dataset"), st.just("name"), st.sampled_from(["IN", "NOT IN"]), LISTS),
)
TREES = st.recursive(
    COMPARISONS,
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, min_size=2, max_size=3).map(tuple).map(And),
        st.lists(inner, min_size=2, max_size=3).map(tuple).map(Or),
    ),
    max_leaves=8,
)


@given(TREES)
def test_a_tree_survives_being_written_and_read(tree: Expr) -> None:
    """Parsing the text of any tree gives that tree: nothing is lost, reordered or read as something else."""
    assert parse_filter(render(tree), RUNS) == tree


MARKS = [*"=()`,;.'\"", "!=", "<=", ">=", "''", "--", "/*", "\x00", "\ud800", "\u2019"]
WORDS = [
    "name",
    "run_id",
    "version_number",
    "tags.",
    "tags.x",
    "`tags`.x",
    "metrics.`a",
    "b`",
    "AND",
    "OR",
    "NOT",
    "IN",
]
VALUES = ["LIKE", "IS", "NULL", "1", "-1", "1e9", "'a'", "('a')"]
PIECES = st.sampled_from(MARKS + WORDS + VALUES)


@given(st.text() | st.lists(PIECES, max_size=12).map(" ".join) | st.lists(PIECES, max_size=12).map("".join))
@example("name IS")
@example("name NOT")
@example("name IN (")
@example("name IN ('a',")
@example("`")
@example("tags.`")
def test_any_text_parses_or_is_refused(text: str) -> None:
    """No text whatever brings anything but a tree or a refusal, in any search, as a filter and as an order."""
    for schema in SCHEMAS.values():
        outcomes = [outcome_of(parse_filter, text, schema), outcome_of(parse_order, [text], schema)]
        assert all(
            isinstance(outcome, Comparison | And | Or | Not | tuple | InvalidInput | None) for outcome in outcomes
        )


def outcome_of(parse, argument, schema: Schema) -> object:
    try:
        return parse(argument, schema)
    except InvalidInput as error:
        return error


@given(TEXTS)
def test_a_quoted_value_is_never_syntax(value: str) -> None:
    """Whatever stands between quotes, doubled where it is the quote itself, arrives as the value and nothing else."""
    for quote in "'\"":
        text = f"name = {quote}{value.replace(quote, quote * 2)}{quote} AND tags.x = 'y'"
        assert parse_filter(text, MODELS) == And((attribute("name", "=", value), Comparison("tag", "x", "=", "y")))


@pytest.mark.parametrize(
    ("search", "clauses", "expected"),
    [
        (
            "models",
            ["timestamp  deSc", "name"],
            [("attribute", "last_updated_timestamp", False), ("attribute", "name", True)],
        ),
        ("models", [], []),
        ("versions", ["attribute.version_number DESC"], [("attribute", "version_number", False)]),
        ("experiments", ["`name` ASC", "name DESC"], [("attribute", "name", True)]),
        ("runs", ["metrics.`a b` desc", "params.x"], [("metric", "a b", False), ("param", "x", True)]),
        ("runs", ["`metrics.x` DESC", " tags.a-b/c "], [("metric", "x", False), ("tag", "a-b/c", True)]),
        ("runs", ["Created", "`Run name`"], [("attribute", "start_time", True), ("attribute", "run_name", True)]),
    ],
)
def test_an_order_is_read(search: str, clauses: list[str], expected: list[tuple[str, str, bool]]) -> None:
    """Order clauses become canonical keys in the order given, ascending unless they say otherwise."""
    assert parse_order(clauses, SCHEMAS[search]) == tuple(OrderKey(*key) for key in expected)


@pytest.mark.parametrize(
    ("search", "clauses", "message"),
    [
        ("models", [""], "Invalid order_by clause ''. Could not be parsed."),
        ("models", ["name ASC DESC"], "Invalid order_by clause 'name ASC DESC'. Could not be parsed."),
        ("models", ["name, name"], "Invalid order_by clause 'name, name'. Could not be parsed."),
        ("models", ["name;"], "Invalid order_by clause 'name;'. Could not be parsed."),
        ("models", ["name foo"], "Invalid ordering key in order_by clause 'name foo'."),
        (
            "models",
            ["name", "creation_timestamp"],
            "Invalid order by key 'creation_timestamp' specified. Valid keys are ",
        ),
        ("models", ["tags.x"], "Invalid order by key 'tags.x' specified. Valid keys are "),
        ("models", ["timestamp", "last_updated_timestamp"], "`order_by` contains duplicate fields: ["),
        ("versions", ["run_id"], "Invalid attribute key 'run_id' specified. Valid keys are '{'creation_timestamp', "),
        ("versions", ["tags.x"], "Invalid order by key 'x' specified. Valid keys are {"),
        ("experiments", ["tags.x"], "Invalid order_by entity: tag"),
        ("experiments", ["foo.bar"], "Invalid entity type 'foo'. Valid entity types are ('attribute', 'tag', 'tags')"),
        ("runs", ["dataset.name"], "Invalid identifier type 'dataset'"),
        ("runs", ["created", "start_time"], "`order_by` contains duplicate fields: ["),
        ("runs", ["metrics.a", "metrics.a DESC"], "`order_by` contains duplicate fields: ['a', 'a']"),
        ("runs", [f"metrics.x{n}" for n in range(MAX_ORDER_CLAUSES + 1)], "'order_by' has 21 clauses; at most 20"),
        ("runs", ["metrics." + "x" * 1024], "'order_by' exceeds the maximum length of 1024 bytes"),
        ("runs", ["metrics.`\x00`"], "'order_by' contains a character that cannot be stored"),
    ],
)
def test_an_order_is_refused(search: str, clauses: list[str], message: str) -> None:
    """An order that cannot be read, or that the search does not have, is refused in words that clients match on."""
    error = order_refusal(clauses, SCHEMAS[search])
    assert error.message.startswith(message)
    assert error.field == "order_by"


def test_logged_models_are_ordered_by_structures() -> None:
    """A structured clause names an attribute or a metric, and carries the dataset whose points count."""
    fields = [
        OrderField("creation_time", ascending=False),
        OrderField("metrics.a.b", dataset_name="d", dataset_digest="9"),
        OrderField("metrics.`a b`"),
        OrderField("metrics.a.b"),
        OrderField("metrics.a.b", ascending=False),
    ]
    assert logged_model_order(fields) == (
        OrderKey("attribute", "creation_timestamp", ascending=False),
        OrderKey("metric", "a.b", ascending=True, dataset_name="d", dataset_digest="9"),
        OrderKey("metric", "a b", ascending=True),
        OrderKey("metric", "a.b", ascending=True),
    )


@pytest.mark.parametrize("name", ["", "foo", "params.x", "tags.x", "metric.x", "metrics.", "metrics", "attributes.foo"])
def test_logged_models_are_not_ordered_by_anything_else(name: str) -> None:
    """A field name that is neither an attribute nor a metric is refused by name."""
    with pytest.raises(InvalidInput) as caught:
        logged_model_order([OrderField(name)])
    assert caught.value.message.startswith("Invalid order by field name: ")


IS_PROMPT = f"tags.`{PROMPT_TAG}`"


@pytest.mark.parametrize(
    ("text", "scope", "rest"),
    [
        (None, PromptScope.MODELS, None),
        ("name = 'a'", PromptScope.MODELS, A),
        (f"{IS_PROMPT} = 'true'", PromptScope.PROMPTS, None),
        (f"{IS_PROMPT} != 'false'", PromptScope.PROMPTS, None),
        (f"{IS_PROMPT} = 'false'", PromptScope.MODELS, None),
        (f"{IS_PROMPT} != 'true'", PromptScope.MODELS, None),
        (f"name = 'a' AND {IS_PROMPT} = 'true'", PromptScope.PROMPTS, A),
        (f"name = 'a' AND (name = 'b' AND {IS_PROMPT} = 'false')", PromptScope.MODELS, And((A, B))),
        (f"{IS_PROMPT} = 'true' AND {IS_PROMPT} != 'false'", PromptScope.PROMPTS, None),
    ],
)
def test_the_prompt_tag_chooses_what_is_searched(text: str | None, scope: PromptScope, rest: Expr | None) -> None:
    """Prompts are left out unless the filter asks for them; the comparison that says so is taken out of it."""
    assert prompt_scope(parse_filter(text, MODELS)) == (scope, rest)


@pytest.mark.parametrize(
    "text",
    [
        f"{IS_PROMPT} = 'true' OR name = 'a'",
        f"NOT {IS_PROMPT} = 'true'",
        f"{IS_PROMPT} IS NULL",
        f"{IS_PROMPT} LIKE 't%' AND name = 'a'",
        f"{IS_PROMPT} = 'true' AND {IS_PROMPT} = 'false'",
    ],
)
def test_other_uses_of_the_prompt_tag_decide_for_themselves(text: str) -> None:
    """Where the tag does not plainly choose, both kinds are searched and the filter stays whole."""
    whole = parse_filter(text, MODELS)
    assert prompt_scope(whole) == (PromptScope.ALL, whole)
