"""Products of dense matrices: the same numbers as torch's, however the matrices lie in memory."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from mmkd_core.kernels import affine, affine_each, dense, linear, rows

SIZES = st.integers(1, 40)


def laid_out(shape, way, generator):
    """A matrix in order, as the transpose of one in order, or as columns of a wider one."""
    if way == "transposed":
        return torch.randn(*shape[:-2], shape[-1], shape[-2], generator=generator).mT
    return (
        torch.randn(*shape[:-1], shape[-1] + 5, generator=generator)[..., 2:-3]
        if way == "strided"
        else (torch.randn(shape, generator=generator))
    )


@pytest.fixture(autouse=True)
def of_any_size(monkeypatch):
    """Small products go the way of large ones, by oneDNN wherever torch has it: slow without AVX-512, but the same."""
    monkeypatch.setattr(linear, "LARGE", 1)
    monkeypatch.setattr(linear, "ONEDNN", hasattr(torch.ops.mkldnn, "_linear_pointwise"))


LAYOUTS = st.sampled_from(["in order", "transposed", "strided"])


@given(SIZES, SIZES, SIZES, LAYOUTS, LAYOUTS, st.integers(0, 99))
def test_a_product_is_that_in_float64(n, k, m, first, second, seed):
    generator = torch.Generator().manual_seed(seed)
    a, b = laid_out((n, k), first, generator), laid_out((k, m), second, generator)
    product = dense(a, b)
    assert product.is_contiguous()
    torch.testing.assert_close(product.double(), a.double() @ b.double(), atol=1e-5, rtol=1e-5)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(linear, "_dense", None)  # what is never compiled calls no operator
        assert torch.equal(dense(a, b, traced=False), product)


@pytest.mark.parametrize("cpu", [True, False])
@pytest.mark.parametrize("bias", [None, "vector", "matrix"])
@pytest.mark.parametrize("shapes", [((9, 5), (4, 5)), ((3, 9, 5), (3, 4, 5)), ((0, 5), (4, 5))])
@given(layout=LAYOUTS, seed=st.integers(0, 9))
def test_an_affine_map_and_its_gradients_are_those_in_float64(cpu, bias, shapes, layout, seed):
    generator = torch.Generator().manual_seed(seed)
    x, weight = (laid_out(shape, layout, generator).requires_grad_() for shape in shapes)
    of_bias = {None: (0,), "vector": shapes[1][:-1], "matrix": (*shapes[0][:-1], shapes[1][-2])}[bias]
    offset = torch.randn(of_bias, generator=generator).requires_grad_() if bias else None
    given_to = [x, weight, *([offset] if bias else [])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "on_cpu", lambda x: cpu)
        found = (affine if weight.dim() == 2 else affine_each)(x, weight, offset)
        pull = torch.randn(found.shape, generator=generator)
        gradients = torch.autograd.grad(found, given_to, pull)
    exact = [part.detach().double().requires_grad_() for part in given_to]
    expected = exact[0] @ exact[1].mT
    if bias:
        expected = expected + (exact[2].unsqueeze(-2) if bias == "vector" else exact[2])
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=1e-5)
    for gradient, right in zip(gradients, torch.autograd.grad(expected, exact, pull.double()), strict=True):
        torch.testing.assert_close(gradient.double(), right, atol=1e-4, rtol=1e-4)


def test_rows_in_any_number_of_dimensions_meet_one_weight():
    x, weight, bias = torch.randn(2, 3, 5), torch.randn(4, 5), torch.randn(4)
    torch.testing.assert_close(affine(x, weight, bias), F.linear(x, weight, bias))
    torch.testing.assert_close(affine(x[0, 0], weight, bias), F.linear(x[0, 0], weight, bias))


def test_only_a_gradient_that_is_needed_is_computed():
    x, weight = torch.randn(6, 5), torch.randn(4, 5, requires_grad=True)
    affine(x, weight).sum().backward()
    assert x.grad is None
    torch.testing.assert_close(weight.grad, x.sum(0).expand(4, 5))


def test_autocast_and_float64_are_left_to_torch():
    x, weight = torch.randn(6, 5), torch.randn(4, 5)
    with torch.autocast("cpu", torch.bfloat16):
        assert affine(x, weight).dtype == torch.bfloat16
        assert torch.equal(affine(x, weight), F.linear(x, weight))
    assert torch.equal(affine(x.double(), weight.double()), F.linear(x.double(), weight.double()))
