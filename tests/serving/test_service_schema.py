"""`mmkd serve` against its own schema: schemathesis asks what it allows and what it does not."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode, checks
from service import gate_of, write_made_up

OPERATIONS = [
    *(("GET", path) for path in ("/recommend/{user}", "/similar/{item}", "/history/{user}", "/pictures/{item}")),
    *(("GET", path) for path in ("/users", "/health", "/metrics")),
    ("POST", "/recommend"),
]
CASES = [(*one, GenerationMode.POSITIVE) for one in OPERATIONS]
CASES += [(*one, GenerationMode.NEGATIVE) for one in OPERATIONS if one[1] not in ("/health", "/metrics")]  # with values
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    ids = [f"u{n}" for n in range(6)], [f"i{n}" for n in range(40)]
    gate, _ = gate_of(write_made_up(tmp_path_factory.mktemp("exports") / "out", *ids))
    return schemathesis.openapi.from_asgi("/openapi.json", gate)


def test_each_operation_is_asked(described):
    assert {(one.ok().method.upper(), one.ok().path) for one in described.get_all_operations()} == set(OPERATIONS)


@pytest.mark.parametrize(("method", "path", "mode"), CASES)
def test_it_keeps_to_its_schema(method, path, mode, described):
    """Statuses, kinds of content and shapes are those described; none is a 5xx."""

    @settings(max_examples=8, suppress_health_check=list(HealthCheck))
    @given(described[path][method].as_strategy(generation_mode=mode))
    def asked(case):
        case.call_and_validate(checks=CHECKS)

    asked()
