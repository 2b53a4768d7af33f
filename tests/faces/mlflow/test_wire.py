"""The envelope of MLflow's REST API: what a request may look like, what an answer looks like, and both prefixes."""

import base64
import json

import pytest

from faces.mlflow.build import Build, unused
from faces.mlflow.wire import Wire

JSON = "application/json"
CREATE = "/api/2.0/mlflow/registered-models/create"

# Method, path, and the answer to a request that says nothing but the id of a logged model that does not exist: that one
# because MLflow wants it in the body of the params call as well as in the path.
ROUTES = [
    ("POST", "2.0/mlflow/registered-models/create", 400),
    ("POST", "2.0/mlflow/registered-models/rename", 400),
    ("PATCH", "2.0/mlflow/registered-models/update", 400),
    ("DELETE", "2.0/mlflow/registered-models/delete", 400),
    ("GET", "2.0/mlflow/registered-models/get", 400),
    ("GET", "2.0/mlflow/registered-models/search", 200),
    ("POST", "2.0/mlflow/registered-models/get-latest-versions", 400),
    ("GET", "2.0/mlflow/registered-models/get-latest-versions", 400),
    ("POST", "2.0/mlflow/registered-models/set-tag", 400),
    ("DELETE", "2.0/mlflow/registered-models/delete-tag", 400),
    ("POST", "2.0/mlflow/registered-models/alias", 400),
    ("GET", "2.0/mlflow/registered-models/alias", 400),
    ("DELETE", "2.0/mlflow/registered-models/alias", 400),
    ("POST", "2.0/mlflow/model-versions/create", 400),
    ("PATCH", "2.0/mlflow/model-versions/update", 400),
    ("POST", "2.0/mlflow/model-versions/transition-stage", 400),
    ("DELETE", "2.0/mlflow/model-versions/delete", 400),
    ("GET", "2.0/mlflow/model-versions/get", 400),
    ("GET", "2.0/mlflow/model-versions/search", 200),
    ("GET", "2.0/mlflow/model-versions/get-download-uri", 400),
    ("POST", "2.0/mlflow/model-versions/set-tag", 400),
    ("DELETE", "2.0/mlflow/model-versions/delete-tag", 400),
    ("POST", "2.0/mlflow/experiments/create", 400),
    ("GET", "2.0/mlflow/experiments/get", 400),
    ("GET", "2.0/mlflow/experiments/get-by-name", 400),
    ("POST", "2.0/mlflow/experiments/search", 400),
    ("GET", "2.0/mlflow/experiments/search", 400),
    ("POST", "2.0/mlflow/experiments/delete", 400),
    ("POST", "2.0/mlflow/experiments/restore", 400),
    ("POST", "2.0/mlflow/experiments/update", 400),
    ("POST", "2.0/mlflow/experiments/set-experiment-tag", 400),
    ("POST", "2.0/mlflow/experiments/delete-experiment-tag", 400),
    ("GET", "2.0/mlflow/runs/get", 400),
    ("POST", "2.0/mlflow/runs/update", 400),
    ("POST", "2.0/mlflow/runs/delete", 400),
    ("POST", "2.0/mlflow/runs/restore", 400),
    ("POST", "2.0/mlflow/runs/search", 200),
    ("POST", "2.0/mlflow/runs/log-metric", 400),
    ("POST", "2.0/mlflow/runs/log-parameter", 400),
    ("POST", "2.0/mlflow/runs/log-batch", 400),
    ("POST", "2.0/mlflow/runs/set-tag", 400),
    ("POST", "2.0/mlflow/runs/delete-tag", 400),
    ("POST", "2.0/mlflow/runs/log-inputs", 400),
    ("POST", "2.0/mlflow/runs/outputs", 400),
    ("POST", "2.0/mlflow/runs/log-model", 400),
    ("GET", "2.0/mlflow/metrics/get-history", 400),
    ("POST", "2.0/mlflow/logged-models", 400),
    ("POST", "2.0/mlflow/logged-models/search", 400),
    ("GET", "2.0/mlflow/logged-models/m-absent", 404),
    ("PATCH", "2.0/mlflow/logged-models/m-absent", 400),
    ("DELETE", "2.0/mlflow/logged-models/m-absent", 404),
    ("PATCH", "2.0/mlflow/logged-models/m-absent/tags", 404),
    ("DELETE", "2.0/mlflow/logged-models/m-absent/tags/k", 404),
    ("POST", "2.0/mlflow/logged-models/m-absent/params", 404),
    ("GET", "2.0/mlflow/artifacts/list", 400),
    ("GET", "2.0/mlflow-artifacts/artifacts", 200),
    ("GET", "3.0/mlflow/server-info", 200),
]
NOT_OFFERED = [
    ("GET", "2.0/mlflow/webhooks"),
    ("POST", "2.0/mlflow/webhooks"),
    ("POST", "3.0/mlflow/traces"),
    ("POST", "3.0/mlflow/traces/search"),
    ("GET", "3.0/mlflow/scorers/list"),
    ("GET", "2.0/mlflow/no-such-call"),
    ("PUT", "2.0/mlflow/registered-models/get"),
]


@pytest.mark.parametrize("prefix", ["/api/", "/ajax-api/"])
@pytest.mark.parametrize(("method", "path", "status"), ROUTES)
def test_every_route_answers_json_under_both_prefixes(wire: Wire, prefix: str, method: str, path: str, status: int):
    """A call is found under `/api` and under `/ajax-api`, and says in JSON what it misses."""
    body = None if method == "GET" else b'{"model_id": "m-absent"}'
    answer = wire.call(method, prefix + path, body, content_type=JSON)
    assert answer.status == status, answer.body
    assert answer.headers["content-type"].startswith(JSON)
    assert answer.json.get("error_code") in {None, "INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"}


@pytest.mark.beyond_mlflow
@pytest.mark.parametrize("prefix", ["/api/", "/ajax-api/"])
@pytest.mark.parametrize(("method", "path"), NOT_OFFERED)
def test_what_is_not_offered_is_a_json_404(wire: Wire, prefix: str, method: str, path: str):
    """An endpoint that does not exist answers ENDPOINT_NOT_FOUND, so that a client can tell it from a missing thing."""
    wire.call(method, prefix + path, b"{}", content_type=JSON).refused(404, "ENDPOINT_NOT_FOUND")


def test_health_is_plain_ok(wire: Wire):
    """GET /health is 200 with the body OK, for anybody."""
    answer = Wire(wire.url, None).call("GET", "/health")
    assert (answer.status, answer.body) == (200, b"OK")


def test_version_is_the_text_of_a_version(wire: Wire):
    """GET /version answers a dotted version number as text."""
    answer = wire.call("GET", "/version")
    assert answer.status == 200
    assert answer.body.decode()[0].isdigit()


def test_server_info_names_the_store(wire: Wire):
    """The server tells a 3.17 client its kind of store."""
    info = wire.under("/api/3.0/mlflow/").get("server-info").ok()
    assert info["store_type"] == "SqlStore"


@pytest.mark.beyond_mlflow
def test_workspaces_are_offered_from_the_start(wire: Wire):
    """The server tells a client that names a workspace that it has them; MLflow must be started so."""
    assert wire.under("/api/3.0/mlflow/").get("server-info").ok()["workspaces_enabled"] is True


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8"])
def test_json_content_type_is_accepted_with_parameters(wire: Wire, kind: str):
    """A JSON content type counts with and without parameters."""
    wire.call("POST", CREATE, json.dumps({"name": unused()}).encode(), content_type=kind).ok()


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded"])
def test_other_content_types_are_refused(wire: Wire, kind: str):
    """A POST that is not JSON is refused, which keeps browser forms of other sites out."""
    answer = wire.call("POST", CREATE, json.dumps({"name": unused()}).encode(), content_type=kind)
    answer.invalid("Bad Request. Content-Type must be one of ['application/json'].")


def test_a_missing_content_type_is_refused(wire: Wire):
    """A POST without a content type is refused as well."""
    wire.call("POST", CREATE, json.dumps({"name": unused()}).encode()).invalid("Bad Request. Content-Type")


def test_a_doubly_encoded_body_is_decoded_twice(wire: Wire, name: str):
    """A body that is a JSON string holding JSON means what it holds."""
    body = json.dumps(json.dumps({"name": name})).encode()
    assert wire.call("POST", CREATE, body, content_type=JSON).ok()["registered_model"]["name"] == name


def test_no_body_is_an_empty_request(wire: Wire):
    """A POST without a body misses its parameters."""
    wire.call("POST", CREATE, b"", content_type=JSON).invalid("Missing value for required parameter 'name'.")


@pytest.mark.parametrize("body", [b"{", b"not json", b"["])
def test_a_broken_body_is_the_callers_mistake(wire: Wire, body: bytes):
    """A body that is no JSON object is refused as an invalid request."""
    wire.call("POST", CREATE, body, content_type=JSON).invalid()


def test_unknown_request_fields_are_ignored(wire: Wire, name: str):
    """A field that the call does not know changes nothing."""
    assert wire.post("registered-models/create", name=name, colour="red").ok()["registered_model"]["name"] == name


def test_unset_fields_are_never_null_and_empty_ones_are_kept(wire: Wire, build: Build):
    """A field never set is not sent as null, and a field set to the empty string is present."""
    bare, blank = build.version(build.model()), build.version(build.model(), description="")
    assert None not in bare.values()
    assert "tags" not in bare
    assert blank["description"] == ""


def test_64_bit_integers_are_json_numbers(build: Build):
    """Times are numbers, and the number of a version is text."""
    record = build.version(build.model())
    assert isinstance(record["creation_timestamp"], int)
    assert record["version"] == "1"


@pytest.mark.parametrize(("status", "shown"), [("FINISHED", "FINISHED"), (3, "FINISHED"), (4, "FAILED"), (5, "KILLED")])
def test_enums_are_read_by_name_and_number_and_written_by_name(wire: Wire, build: Build, status: object, shown: str):
    """A run's status may be sent as either form and comes back as a name."""
    info = wire.post("runs/update", run_id=build.run(), status=status).ok()["run_info"]
    assert info["status"] == shown


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("NaN", "NaN"), ("Infinity", 1.7976931348623157e308), ("-Infinity", -1.7976931348623157e308), (0.5, 0.5)],
)
def test_special_doubles_travel_as_strings(wire: Wire, build: Build, sent: object, kept: object):
    """NaN comes back as the string, and an infinity as the largest double of its sign."""
    run = build.run()
    wire.post("runs/log-metric", run_id=run, key="m", value=sent, timestamp=1, step=0).ok()
    assert wire.get("runs/get", run_id=run).ok()["run"]["data"]["metrics"][0]["value"] == kept


def test_numbers_may_be_sent_as_text(wire: Wire, build: Build):
    """A quoted integer is accepted where an integer belongs."""
    run = build.run()
    wire.post("runs/log-metric", run_id=run, key="m", value="0.25", timestamp="7", step="3").ok()
    point = wire.get("runs/get", run_id=run).ok()["run"]["data"]["metrics"][0]
    assert (point["value"], point["timestamp"], point["step"]) == (0.25, 7, 3)


def test_repeated_query_parameters_are_a_list(wire: Wire, build: Build, name: str):
    """A repeated field of a GET is given by repeating the parameter."""
    for number in (1, 2):
        build.model(f"{name}-{number}")
    order = ["last_updated_timestamp DESC", "name ASC"]
    found = wire.get("registered-models/search", filter=f"name LIKE '{name}%'", order_by=order).ok()
    assert [model["name"] for model in found["registered_models"]] == [f"{name}-2", f"{name}-1"]


@pytest.mark.parametrize("said", ["true", "TRUE", "True"])
def test_booleans_of_a_query_are_words_in_any_case(wire: Wire, build: Build, said: str):
    """`true` in any case is true."""
    model = build.logged_model()["model_id"]
    wire.delete(f"logged-models/{model}").ok()
    wire.get(f"logged-models/{model}", allow_deleted=said).ok()


@pytest.mark.beyond_mlflow
def test_other_words_are_no_booleans(wire: Wire, build: Build):
    """Anything else is refused by name, where MLflow takes it for false."""
    model = build.logged_model()["model_id"]
    wire.get(f"logged-models/{model}", allow_deleted="maybe").invalid("Invalid boolean value: maybe")


def test_delete_calls_read_their_json_body(wire: Wire, build: Build):
    """The client sends the parameters of a DELETE in its body."""
    model = build.model()
    wire.delete("registered-models/delete", name=model).ok()
    wire.get("registered-models/get", name=model).missing()


@pytest.mark.parametrize("value", [None, ""])
def test_null_and_empty_count_as_missing(wire: Wire, value: object):
    """A required parameter must be there and say something."""
    wire.post("registered-models/create", name=value).invalid(
        "Missing value for required parameter 'name'. See the API docs for more information about request parameters."
    )


def test_parameters_are_checked_in_the_order_of_the_schema(wire: Wire):
    """Of several missing parameters the first one of the schema is named."""
    wire.post("model-versions/create").invalid("Missing value for required parameter 'name'.")
    wire.post("model-versions/create", name="a").invalid("Missing value for required parameter 'source'.")


@pytest.mark.parametrize(
    ("call", "fields", "text"),
    [
        ("registered-models/create", {"name": 5}, "Invalid value 5 for parameter 'name' supplied:"),
        ("registered-models/create", {"name": {"b": 1, "a": 2}}, "Value was of type 'dict'."),
        ("registered-models/create", {"name": ["x"]}, "Value was of type 'list'."),
        ("registered-models/create", {"name": True}, "Invalid value true for parameter 'name' supplied:"),
        ("runs/log-metric", {"run_id": "r", "key": "k", "value": "x", "timestamp": 1}, "parameter 'value'"),
        ("runs/log-batch", {"run_id": "r", "metrics": [{"key": "k", "value": 1}]}, "'metrics[0].timestamp'"),
        ("runs/log-batch", {"run_id": "r", "metrics": [{"value": 1, "timestamp": 1}]}, "'metrics[0].key'"),
        ("runs/log-batch", {"run_id": "r", "params": [{"value": "1"}]}, "'params[0].key'"),
        ("runs/log-batch", {"run_id": "r", "tags": [{"value": "1"}]}, "'tags[0].key'"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(wire: Wire, call: str, fields: dict[str, object], text: str):
    """A parameter of the wrong type or an incomplete entry is refused by its path in the request."""
    wire.post(call, **fields).invalid(text)


def test_run_uuid_is_accepted_for_run_id(wire: Wire, build: Build):
    """Old clients name a run by `run_uuid`."""
    run = build.run()
    assert wire.get("runs/get", run_uuid=run).ok()["run"]["info"]["run_id"] == run
    wire.post("runs/set-tag", run_uuid=run, key="k", value="v").ok()


@pytest.mark.parametrize("call", ["registered-models/search", "model-versions/search", "experiments/search"])
def test_too_large_pages_are_refused(wire: Wire, call: str):
    """A page beyond the limit of its search is refused by value."""
    wire.get(call, max_results=123456789).invalid("Invalid value ", "123456789", "for parameter 'max_results' supplied")


def test_double_slashes_in_the_path_are_merged(wire: Wire, build: Build):
    """A tracking URI that ends in a slash still works."""
    assert wire.call("GET", f"//api/2.0/mlflow/registered-models/get?name={build.model()}").status == 200


@pytest.mark.beyond_mlflow
def test_double_slashes_inside_the_path_are_merged(wire: Wire, build: Build):
    """Slashes are merged in place, where MLflow redirects."""
    assert wire.call("GET", f"/api/2.0//mlflow/registered-models/get?name={build.model()}").status == 200


def test_pages_follow_each_other_without_gaps(wire: Wire, build: Build, name: str):
    """Page tokens lead through everything exactly once, and the last page has none."""
    made = [build.model(f"{name}-{number}") for number in range(5)]
    seen, sizes, token = [], [], ""
    while token is not None:
        page = wire.get("registered-models/search", filter=f"name LIKE '{name}%'", max_results=2, page_token=token).ok()
        seen += [model["name"] for model in page["registered_models"]]
        sizes.append(len(page["registered_models"]))
        token = page.get("next_page_token")
    assert seen == made
    assert sizes == [2, 2, 1]


def test_a_full_last_page_has_no_token(wire: Wire, build: Build, name: str):
    """A page that is exactly full and the last says so."""
    build.model(f"{name}-1")
    page = wire.get("registered-models/search", filter=f"name = '{name}-1'", max_results=1).ok()
    assert "next_page_token" not in page


@pytest.mark.parametrize("call", ["registered-models/search", "model-versions/search"])
@pytest.mark.parametrize("token", ["!", "abc", base64.b64encode(b"no json").decode()])
def test_a_broken_page_token_is_refused(wire: Wire, call: str, token: str):
    """A token that the server did not make is the caller's mistake."""
    wire.get(call, page_token=token).invalid("Invalid page token")


@pytest.mark.beyond_mlflow
def test_an_unauthenticated_call_is_refused(wire: Wire):
    """Without a credential a call is 401 and says how to authenticate."""
    answer = Wire(wire.url, None).get("registered-models/search")
    assert answer.status == 401
    assert "www-authenticate" in answer.headers
