"""Types are checked with and without arrays in a signature, until a test says that they shall not."""

from collections.abc import Mapping

import pytest
import torch
from beartype import beartype
from jaxtyping import Float
from torch import Tensor
from type_checks import has_arrays, jaxtyped

from mmkd_core.evidence.compare import signed
from mmkd_core.losses import bpr

Row = Float[Tensor, " column"]


@jaxtyped(typechecker=beartype)
def named(place: int) -> str:
    return "first" if place == 1 else place


@jaxtyped(typechecker=beartype)
def added(first: Row, second: "Row") -> Row:
    return first + second[: len(first)]


def nested(rows: Mapping[str, list[Row] | None]): ...


def later(row: "Later"): ...


def test_a_signature_with_arrays_is_known():
    assert [has_arrays(function) for function in (added.__wrapped__, nested, later)] == [True] * 3
    assert not has_arrays(named.__wrapped__)


def test_wrong_types_are_refused():
    assert named(1) == "first"
    for wrong in ("1", 2):  # what goes in, what comes out
        with pytest.raises(Exception, match="violates type hint"):
            named(wrong)
    with pytest.raises(Exception, match="violates type hint"):
        signed("0.1")  # of the library


def test_wrong_shapes_are_refused():
    assert added(torch.ones(2), torch.ones(2)).tolist() == [2, 2]
    with pytest.raises(Exception, match="Type-check error"):
        added(torch.ones(2), torch.ones(3))
    with pytest.raises(Exception, match="Type-check error"):
        bpr(torch.ones(2), torch.ones(3, 4))  # of the library


@pytest.mark.usefixtures("unchecked")
def test_checks_can_be_put_off():
    assert named("1") == "1"
    assert added(torch.ones(2), torch.ones(3)).tolist() == [2, 2]
