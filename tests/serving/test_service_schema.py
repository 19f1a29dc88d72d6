"""`mmkd serve` against its own schema: schemathesis asks what it allows and what it does not."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.specs.openapi.checks import negative_data_rejection
from service import gate_of, write_made_up

# The ids of a path may be any text: one that the schema does not allow is an id that nobody has.
UNFIT = [negative_data_rejection]


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    ids = [f"u{n}" for n in range(6)], [f"i{n}" for n in range(40)]
    gate, _ = gate_of(write_made_up(tmp_path_factory.mktemp("exports") / "out", *ids))
    return schemathesis.openapi.from_asgi("/openapi.json", gate)


schema = schemathesis.pytest.from_fixture("described")
BOUNDED = settings(max_examples=15, deadline=None, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate],
                   suppress_health_check=list(HealthCheck))  # fmt: skip


@schema.parametrize()
@BOUNDED
def test_it_keeps_to_its_schema(case):
    """Statuses, kinds of content and shapes are those described; none is a 5xx."""
    response = case.call()
    assert response.status_code < 500
    case.validate_response(response, excluded_checks=UNFIT)
