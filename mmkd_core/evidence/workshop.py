"""The parts of the method that a reader writes in the chapter `build`, compared with the library's.

A part is known by its function's name. What each is to compute is a function of the library, on inputs that are drawn
from a fixed seed.
"""

import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from inspect import signature
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from mmkd_core import losses
from mmkd_core.data import Dataset
from mmkd_core.graph import edge_weights, propagate
from mmkd_core.layers import Reduction, linear
from mmkd_core.models.teacher import Prompt
from mmkd_core.sparse import Graph

TOLERANCE = 1e-5  # relative to the largest number expected: the graph's products are of float32
DOUBLE = torch.float64
FAR = 800.0  # a margin whose sigmoid is 0 or 1 in floating point: the logarithm of that has no value
TOLD = 200  # characters of an error: PyTorch prints tables


class DiffersError(AssertionError):
    """A reader's part is not yet what it is to be; a notebook shows the message alone."""

    def _render_traceback_(self) -> list[str]:
        return [f"✗ {self}"]


class Part(NamedTuple):
    """What a part is to compute, the arguments to try it with, and what common slips make of them."""

    reference: Callable[..., Tensor]
    cases: Callable[[], Sequence[Sequence[Any]]]
    slips: Mapping[str, Callable[..., Tensor]] = {}


def check(mine: Callable[..., Tensor]) -> str:
    """Calls a reader's part and the library's with the same arguments; compares shapes, values and gradients.

    A gradient is that of the sum of the result with a weight per number, by each tensor of floats among the arguments.
    Returns a line that says so where all agree. Raises `ValueError` for a name that is none of `PARTS`, and
    `DiffersError` for the first thing that differs: the case, what was got, what was expected, and the likely slip if
    there is one.
    """
    name = getattr(mine, "__name__", repr(mine))
    if name not in PARTS:
        raise ValueError(f"{name} is no part of the workshop; expected one of {sorted(PARTS)}")
    part = PARTS[name]
    tried = part.cases()
    for number, case in enumerate(tried, 1):
        numbers = zip(signature(part.reference).parameters, case, strict=True)
        given = ", ".join(f"{name}={value:g}" for name, value in numbers if isinstance(value, int | float))
        where = f"{name}, case {number} of {len(tried)}" + f" ({given})" * bool(given)
        _check_case(where, mine, part, case)
    return f"✓ {name}: values and gradients are the library's, in {len(tried)} cases"


def _check_case(where: str, mine: Callable[..., Tensor], part: Part, case: Sequence[Any]) -> None:
    ours, theirs = _copy(case), _copy(case)
    expected = part.reference(*theirs)
    try:
        got = mine(*ours)
    except Exception as error:
        said = (str(error).splitlines() or [""])[0][:TOLD]
        raise DiffersError(f"{where}: it stopped{_line_of(error, mine)} with {type(error).__name__}: {said}") from error
    if not isinstance(got, Tensor):
        told = "nothing: where it says `...` your lines are missing" if got is None else f"a {type(got).__name__}"
        raise DiffersError(f"{where}: it returned {told}; expected a tensor of the shape {tuple(expected.shape)}")
    if got.shape != expected.shape:
        raise DiffersError(f"{where}: got the shape {tuple(got.shape)}; expected {tuple(expected.shape)}")
    _compare(where, got.detach(), expected.detach(), ((slip, wrong(*case)) for slip, wrong in part.slips.items()))
    if not got.requires_grad:
        raise DiffersError(f"{where}: the values are right, but no gradient comes through; is something detached?")
    slopes = zip(_gradients(got, ours), _gradients(expected, theirs), strict=True)
    for name, pairs in zip(signature(part.reference).parameters, slopes, strict=True):
        for own, other in zip(*pairs, strict=True):
            _compare(f"{where}, the gradient by {name}", own, other)


def _line_of(error: Exception, mine: Callable[..., Tensor]) -> str:
    """Where in a reader's own lines an error arose, as text; nothing where it did not."""
    file = getattr(getattr(mine, "__code__", None), "co_filename", None)
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f" in line {lines[-1]}" if lines else ""


def _copy(argument: Any) -> Any:
    """The argument anew: its dense tensors of floats ask for a gradient."""
    if isinstance(argument, Mapping):
        return {name: _copy(part) for name, part in argument.items()}
    if isinstance(argument, list | tuple):
        return [_copy(part) for part in argument]
    if isinstance(argument, Tensor) and argument.layout == torch.strided:
        return argument.clone().requires_grad_()
    return argument


def _leaves(argument: Any) -> Iterator[Tensor]:
    if isinstance(argument, Mapping | list):
        for part in argument.values() if isinstance(argument, Mapping) else argument:
            yield from _leaves(part)
    elif isinstance(argument, Tensor) and argument.requires_grad:
        yield argument


def _gradients(result: Tensor, arguments: Sequence[Any]) -> Iterator[list[Tensor]]:
    """Of the weighted sum of the result, by the tensors of each argument; zeros where it does not depend on one."""
    weighted = (torch.linspace(1, 2, result.numel(), dtype=DOUBLE).reshape(result.shape) * result).sum()
    for argument in arguments:
        leaves = list(_leaves(argument))
        slopes = torch.autograd.grad(weighted, leaves, retain_graph=True, allow_unused=True) if leaves else ()
        yield [torch.zeros_like(leaf) if g is None else g for g, leaf in zip(slopes, leaves, strict=True)]


def _off(got: Tensor, expected: Tensor) -> Tensor:
    """By how much each number is off; what is NaN is off by infinity."""
    return (got - expected).abs().nan_to_num(nan=torch.inf)


def _alike(got: Tensor, expected: Tensor) -> bool:
    scale = float(expected.abs().max()) or 1.0
    return float(_off(got, expected).max()) <= TOLERANCE * scale


def _compare(where: str, got: Tensor, expected: Tensor, slips: Iterable[tuple[str, Tensor]] = ()) -> None:
    """Raises `DiffersError` where the two differ; `slips` are looked at only then."""
    if _alike(got, expected):
        return
    off = _off(got, expected)
    place = tuple(int(index) for index in torch.unravel_index(off.argmax(), off.shape))
    at = f" at {list(place)}" if place else ""
    alike = (f". That is {slip}" for slip, other in slips if other.shape == got.shape and _alike(got, other))
    hint = next(alike, None) or _hint(got, expected)
    raise DiffersError(f"{where}: got {float(got[place]):.5g}{at}; expected {float(expected[place]):.5g}{hint}")


def _hint(got: Tensor, expected: Tensor) -> str:
    """The likely slip, where the whole of both shows one."""
    if not got.isfinite().all():
        return ". Not all of it is finite; is there a logarithm of 0, or a division by it?"
    if not expected.any():
        return ""
    if float(got.abs().max()) < TOLERANCE**2 * float(expected.abs().max()):
        return ". Nothing of it is there; is something detached?"
    ratio = float((got * expected).sum() / expected.square().sum())
    telling = got.numel() > 1 or abs(ratio - round(ratio)) < TOLERANCE  # a number is always a multiple of another
    if telling and ratio and _alike(got / ratio, expected):
        return f". It is {ratio:.4g} times what is expected; is it a sign, or a sum in place of a mean?"
    return ""


def _drawn(seed: int = 0) -> Callable[..., Tensor]:
    """Standard normal numbers of any shape, float64, one stream per seed."""
    stream = torch.Generator().manual_seed(seed)
    return lambda *shape: torch.randn(*shape, generator=stream, dtype=DOUBLE)


def _lightgcn(adjacency: Tensor, x: Tensor, layers: int) -> Tensor:
    rows, cols = adjacency.indices()
    graph = Graph(rows, cols, edge_weights(rows, cols), (len(x), len(x)))
    return propagate(graph, x.float(), layers).double()


def _graphs() -> list[list[Any]]:
    edges = torch.tensor([[0, 0, 1, 2, 2, 2], [4, 5, 5, 4, 5, 6]])  # node 3 has none
    both = torch.cat([edges, edges.flip(0)], dim=1)
    adjacency = torch.sparse_coo_tensor(both, torch.ones(both.shape[1], dtype=DOUBLE), (7, 7)).coalesce()
    return [[adjacency, _drawn()(7, 3), layers] for layers in (1, 2, 0)]


def _prompt(scores: list[Tensor], weight: Tensor, bias: Tensor) -> Tensor:
    layer = Prompt.__new__(Prompt)
    nn.Module.__init__(layer)
    layer.register_buffer("semantics", torch.stack([own / own.std(0) for own in scores]).mean(0))
    layer.linear = linear(*weight.T.shape)
    return functional_call(layer, {"linear.weight": weight, "linear.bias": bias}, ())


def _scores() -> list[list[Any]]:
    draw = _drawn()
    units = torch.tensor([0.1, 1.0, 30.0], dtype=DOUBLE)
    return [[[draw(9, 3) * units for _ in range(number)], draw(3, 3), draw(3)] for number in (2, 3)]


def _reduced(x: Tensor, weight: Tensor, bias: Tensor, prompt: Tensor, rate: float) -> Tensor:
    pairs = torch.zeros(1, 2, dtype=torch.int64)
    data = Dataset("a part", 1, len(x), pairs, pairs[:0], pairs[:0], features={"x": x.detach().float()})
    values = {"features.matrix_0": x, "weights.0": weight, "bias": bias}
    layer = Reduction(data, weight.shape[1], dropout=0.0)
    return functional_call(layer, values, (prompt, rate))


def _features() -> list[list[Any]]:
    draw = _drawn()
    return [[draw(8, 6), draw(6, 3), draw(3), draw(8, 3), rate] for rate in (1.0, 0.3)]


def _ranked() -> list[list[Any]]:
    draw = _drawn()
    far = torch.tensor([FAR, -FAR, 1.0, -0.5, 2.0], dtype=DOUBLE)
    return [[draw(5), draw(5)], [far, draw(5)]]


def _margins() -> list[list[Any]]:
    draw = _drawn()
    drawn = [[3 * draw(5), 3 * draw(5), temperature] for temperature in (1.0, 2.5)]
    one, other = torch.tensor([[FAR, -FAR, 1.0, -0.5, 2.0], [1.0, -2.0, FAR, -FAR, 0.3]], dtype=DOUBLE)
    return [*drawn, [one, other, 1.0]]


def _lists() -> list[list[Any]]:
    draw, weights = _drawn(), ((1.0, 1.0, 1.0), (1.0, 4.0, 1.0), (0.5, 2.0, 3.0))
    drawn = [[2 * draw(4, 6), 2 * draw(4, 6), *chosen] for chosen in weights]
    student = draw(4, 6)
    student[0, 0], student[1, 0] = FAR, -FAR
    return [*drawn, [draw(4, 6), student, 1.0, 4.0, 1.0]]


def _directions() -> list[list[Any]]:
    draw = _drawn()
    return [[draw(6, 4), draw(6, 4), gamma] for gamma in (1.0, 2.0, 3.0)]


def _joint(margins: Tensor, terms: dict[str, Tensor], weights: dict[str, float], rows: Tensor, l2: float) -> Tensor:
    distilled = [weights[name] * term for name, term in terms.items()]
    return sum(distilled, losses.bpr_of_margins(margins) + l2 * losses.l2(rows))


def _terms() -> list[list[Any]]:
    draw, weights = _drawn(), {"pair": 0.5, "list": 0.03, "embed": 2.0}
    terms = {name: draw(()).abs() for name in weights}
    far = torch.tensor([-FAR, 1.0, 2.0, -3.0, 0.5], dtype=DOUBLE)
    taught = [[margins, terms, weights, draw(3, 5, 4), 0.1] for margins in (draw(5), far)]
    return [[draw(5), {}, {}, draw(3, 5, 4), 0.1], *taught]


def _of_distillation(right: Callable[..., Tensor]) -> dict[str, Callable[..., Tensor]]:
    """Slips of a loss of teacher, student and, last, the temperature."""
    return {
        "the result with teacher and student exchanged": lambda teacher, student, *own: right(student, teacher, *own),
        "the right one without its factor temperature²": lambda *own: right(*own) / own[-1] ** 2,
    }


PARTS = {
    "bpr": Part(
        losses.bpr, _ranked,
        {
            "the result with positive and negative exchanged": lambda pos, neg: losses.bpr(neg, pos),
            "the sum over the batch; the loss is the mean": lambda pos, neg: losses.bpr(pos, neg) * len(pos),
        },
    ),
    "lightgcn": Part(
        _lightgcn, _graphs, {"the result with a layer more": lambda a, x, layers: _lightgcn(a, x, layers + 1)}
    ),
    "prompt": Part(
        _prompt, _scores,
        {"the result with the transpose of `weight`; F.linear takes it as it is": lambda s, w, b: _prompt(s, w.T, b)},
    ),
    "reduction": Part(
        _reduced, _features,
        {"the result without 1/|I|": lambda x, w, b, prompt, rate: _reduced(x, w, b, prompt, rate * len(x))},
    ),
    "pair_kd": Part(losses.pair_kd, _margins, _of_distillation(losses.pair_kd)),
    "list_kd": Part(losses.list_kd, _lists, _of_distillation(losses.list_kd)),
    "embed_kd": Part(losses.scaled_cosine_error, _directions),
    "joint": Part(
        _joint, _terms,
        {"the result with twice the L2": lambda margins, terms, w, rows, l2: _joint(margins, terms, w, rows, 2 * l2)},
    ),
}  # fmt: skip
