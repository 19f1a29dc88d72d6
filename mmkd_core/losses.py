"""Losses as pure functions of tensors: Eq. 5-13 of the paper, each erratum resolved, and softmax over candidates.

The teacher always comes first. Each function says what it averages over and what it replaces in the paper.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from mmkd_core.kernels import dense
from mmkd_core.layers import unit_rows


def bpr(pos: Float[Tensor, " batch"], neg: Float[Tensor, " batch ..."]) -> Float[Tensor, ""]:
    """Bayesian personalised ranking (Eq. 13): mean of -log sigmoid(pos - neg).

    `pos` has shape (batch,); `neg` (batch,) or (batch, negatives), each negative compared with its row's positive.
    The paper sums over the triples; the mean keeps its weight beside the other losses free of the batch's size.
    """
    _check("bpr", neg.shape[:1] == pos.shape, f"pos {tuple(pos.shape)}, neg {tuple(neg.shape)}", "one row a positive")
    margin = (pos if neg.dim() == 1 else pos.unsqueeze(1)) - neg
    return bpr_of_margins(margin)


def bpr_of_margins(margins: Float[Tensor, "batch ..."]) -> Float[Tensor, ""]:
    """`bpr` of what is left of each positive's score when its negative's is taken away."""
    return -F.logsigmoid(margins).mean()


def list_bpr(scores: Float[Tensor, "batch list"]) -> Float[Tensor, ""]:
    """`bpr` of lists of scores whose column 0 is the positive and whose other columns are its negatives."""
    pos, neg = scores.split([1, scores.shape[1] - 1], dim=1)
    return bpr(pos.squeeze(1), neg)


def l2(*rows: Float[Tensor, "..."]) -> Float[Tensor, ""]:
    """Half the squared norm of all rows that a batch uses, divided by the batch's size (of the first argument)."""
    halves = [_HalfSquares.apply(part, rows[0].shape[-2]) for part in rows]
    return halves[0] if len(halves) == 1 else torch.stack(halves).sum()  # pyright: ignore[reportReturnType]


class _HalfSquares(torch.autograd.Function):
    """1/2 the sum of the squares of a tensor, over `batch`, with the gradient x / batch, in half autograd's kernels."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, batch: int) -> Tensor:
        ctx.save_for_backward(x)
        ctx.batch = batch
        return x.square().sum() * (0.5 / batch)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return x * (grad_outputs[0] * (1 / ctx.batch)), None


def pair_kd(
    teacher_margin: Float[Tensor, " batch"], student_margin: Float[Tensor, " batch"], temperature: float = 1.0
) -> Float[Tensor, ""]:
    """Pair-wise distillation (Eq. 5): temperature^2 x mean KL between Bernoulli(sigmoid(margin / temperature)).

    Margins are score(u, i+) - score(u, i-), shape (batch,). Zero exactly where the margins agree, never negative.
    Eq. 5 as printed takes the logarithm of a negative number (errata B1); this is the KL divergence its text describes.
    Raises `ValueError` for unequal shapes or a temperature that is not positive.
    """
    _check_pair("pair_kd", teacher_margin, student_margin, temperature)
    kl = _PairKL.apply(*_divided(temperature, teacher_margin, student_margin))
    return temperature**2 * kl.mean() if temperature != 1 else kl.mean()  # pyright: ignore[reportAttributeAccessIssue]


class _PairKL(torch.autograd.Function):
    """KL(Bernoulli(sigmoid(t)) || Bernoulli(sigmoid(s))) with both gradients in closed form."""

    @staticmethod
    def forward(ctx: Any, t: Tensor, s: Tensor) -> Tensor:
        less, p = s - t, torch.sigmoid(-t)
        ctx.save_for_backward(s, less, p)
        return F.logsigmoid(t) - F.logsigmoid(s) + p * less  # with log sigmoid(-x) = log sigmoid(x) - x

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, Tensor | None]:
        s, less, p = ctx.saved_tensors
        grad, of_t, of_s = grad_outputs[0], None, None
        if ctx.needs_input_grad[0]:
            of_t = torch.addcmul(p, p, p, value=-1).mul_(less).mul_(-grad)
        if ctx.needs_input_grad[1]:
            of_s = (p - torch.sigmoid(-s)).mul_(grad)
        return of_t, of_s


def list_kd(
    teacher_logits: Float[Tensor, "*parts batch list"],
    student_logits: Float[Tensor, "batch list"],
    alpha: float = 1.0,
    beta: float = 1.0,
    temperature: float = 1.0,
) -> Float[Tensor, ""]:
    """Disentangled list-wise distillation (Eq. 6-10), mean over the rows, times temperature^2.

    Column 0 is the observed item, the others are unobserved. With p = softmax(logits / temperature), b = (p_1, 1 - p_1)
    and q = p restricted to the unobserved items and rescaled to sum to one, each row contributes
    alpha KL(b^T || b^S) + beta (1 - b+^T) KL(q^T || q^S). At alpha = beta = 1 that is exactly KL(p^T || p^S), so only
    other weights re-weight anything (errata B10). With two columns KL(q) is zero.
    Several teachers in front, such as the modalities, share the student's lists: the mean is over all their rows.
    Raises `ValueError` for unequal shapes, fewer than two columns or a temperature that is not positive.
    """
    shape = tuple(student_logits.shape)
    _check_pair("list_kd", teacher_logits[(0,) * (teacher_logits.dim() - 2)], student_logits, temperature)
    _check("list_kd", len(shape) == 2 and shape[1] >= 2, f"shape {shape}", "(batch, list) with at least 2 columns")
    loss = _ListKL.apply(*_divided(temperature, teacher_logits, student_logits), alpha, beta)
    return temperature**2 * loss.mean() if temperature != 1 else loss.mean()  # pyright: ignore[reportAttributeAccessIssue]


class _ListKL(torch.autograd.Function):
    """alpha KL(b^T || b^S) + beta (1 - b+^T) KL(q^T || q^S) of each row, with both gradients in closed form.

    The sum over the unobserved of p^T (log p^T - log p^S) is b-'s part of KL(b) and (1 - b+^T) KL(q) together, so that
    one softmax serves both. In backward, p and r are the teacher's and the student's shares; the student's gradient is
    alpha (r - p) + (beta - alpha) [0, (1 - b+^T) q^S - p].
    """

    @staticmethod
    def forward(ctx: Any, teacher: Tensor, student: Tensor, alpha: float, beta: float) -> Tensor:
        t, s = teacher.log_softmax(-1), student.log_softmax(-1)
        b_t, b_s = (logs[..., 1:].logsumexp(-1, keepdim=True) for logs in (t, s))  # log(1 - b+), finite at b+ = 1
        p, less, b_less, rest = t.exp(), t - s, b_t - b_s, b_t.exp()
        observed, unobserved = (p * less).split([1, p.shape[-1] - 1], dim=-1)
        of_b = rest * b_less
        unobserved = unobserved.sum(-1, keepdim=True)
        ctx.save_for_backward(s, p, less, b_less, of_b, unobserved)
        ctx.weights = alpha, beta
        return (alpha * (observed + of_b) + beta * (unobserved - of_b)).squeeze(-1)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        s, p, less, b_less, of_b, unobserved = ctx.saved_tensors
        grad, (alpha, beta), of_t, of_s = grad_outputs[0].unsqueeze(-1), ctx.weights, None, None
        if ctx.needs_input_grad[0]:
            shifted, unlike = less - b_less, unobserved - of_b
            first = shifted[..., :1]  # what KL(b) gives to the observed item
            of_t = (shifted - unlike).mul_(beta).sub_(p[..., :1] * first, alpha=alpha)
            of_t[..., :1].sub_(first, alpha=beta - alpha)
            of_t.mul_(p).mul_(grad)
        if ctx.needs_input_grad[1]:
            of_s = (s.exp() - p).mul_(alpha)
            rescaled = (s[..., 1:] + b_less).exp_()  # (1 - b+^T) q^S, which cannot overflow
            of_s[..., 1:].add_(rescaled.sub_(p[..., 1:]), alpha=beta - alpha)
            of_s = of_s.mul_(grad).sum_to_size(s.shape)
        return of_t, of_s, None, None


def softmax_kd(
    teacher: Float[Tensor, "batch candidate"], student: Float[Tensor, "batch candidate"], temperature: float = 1.0
) -> Float[Tensor, ""]:
    """List-wise distillation without a positive: how far the student's shares of the candidates are from the teacher's.

    Mean over the rows of KL(softmax(teacher / t) || softmax(student / t)); `list_kd` at alpha = beta = 1, but for its
    factor of t^2. The teacher gets no gradient.
    Raises `ValueError` for unequal shapes or a temperature that is not positive.
    """
    _check_pair("softmax_kd", teacher, student, temperature)
    known, learned = _divided(temperature, teacher.detach(), student)
    return F.kl_div(learned.log_softmax(1), known.log_softmax(1), reduction="batchmean", log_target=True)


def sampled_softmax(
    users: Float[Tensor, "batch dim"],
    pos: Float[Tensor, "batch dim"],
    candidates: Float[Tensor, "candidate dim"],
    same: Bool[Tensor, "batch candidate"],
    temperature: float = 1.0,
) -> Float[Tensor, ""]:
    """Softmax over a positive and sampled candidates: how unlikely each row's positive is among what it competes with.

    Mean over the rows of -log(exp(u . p / t) / (exp(u . p / t) + sum over c of exp(u . c / t))), where p is the row's
    positive and c runs over the candidates, which all rows share, but for those that are the `same` item as p.
    A row without a candidate adds 0. Raises `ValueError` for a temperature that is not positive.
    """
    _check_temperature("sampled_softmax", temperature)
    scores, others = (users * pos).sum(1), log_sum_exp(users / temperature, candidates, same)
    return F.softplus(others - scores / temperature).mean()


def log_sum_exp(
    anchors: Float[Tensor, "anchor dim"],
    candidates: Float[Tensor, "candidate dim"],
    excluded: Bool[Tensor, "anchor candidate"],
) -> Float[Tensor, " anchor"]:
    """log of the sum of exp(anchor . candidate) over the candidates of each anchor that are not `excluded`.

    The smallest number, without a gradient, where all are. One exponential per pair serves both passes: what is kept
    is each candidate's share of the sum, and both gradients are products with these shares.
    """
    return _LogSumExp.apply(anchors, candidates, excluded)  # pyright: ignore[reportReturnType]


class _LogSumExp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, anchors: Tensor, candidates: Tensor, excluded: Tensor) -> Tensor:
        logits = dense(anchors, candidates.T)
        dtype = torch.promote_types(logits.dtype, torch.float32)  # under autocast products are of fewer bits
        logits = logits.to(dtype).masked_fill_(excluded, torch.finfo(dtype).min)  # -inf makes NaN gradients
        top, shares = logits.amax(1), logits.softmax(1)
        ctx.save_for_backward(anchors.to(dtype), candidates.to(dtype), shares)
        return top - shares.amax(1).log_()  # the largest share is exp(top - what is sought)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor, None]:
        anchors, candidates, shares = ctx.saved_tensors
        grad = grad_outputs[0][:, None]
        return grad * dense(shares, candidates), dense(shares.T, grad * anchors), None


def scaled_cosine_error(
    teacher: Float[Tensor, "*rows dim"], student: Float[Tensor, "*#rows dim"], gamma: float = 2.0
) -> Float[Tensor, ""]:
    """Embedding distillation (Eq. 11): mean over the rows of (1 - cos(teacher, student))^gamma, in [0, 2^gamma].

    1 - cos is clamped at 0, so that a fractional gamma meets no negative rounding error. A row of zeros has cosine 0
    with everything. A student's dimension of one stands for each of the teacher's, such as the modalities.
    Raises `ValueError` for other unequal shapes or gamma < 1.
    """
    shapes = tuple(teacher.shape), tuple(student.shape)
    fit = len(shapes[0]) == len(shapes[1]) and all(s in (1, t) for t, s in zip(*shapes, strict=True))
    _check("scaled_cosine_error", fit and shapes[0][-1] == shapes[1][-1], f"{shapes[0]}, {shapes[1]}", "equal shapes")
    _check("scaled_cosine_error", gamma >= 1, f"gamma={gamma}", "gamma >= 1, as Eq. 11 says")
    cosine = (unit_rows(teacher) * unit_rows(student)).sum(-1)
    return (1 - cosine).relu().pow(gamma).mean()


def _divided(temperature: float, *logits: Tensor) -> tuple[Tensor, ...]:
    return logits if temperature == 1 else tuple(x / temperature for x in logits)


def _check_pair(name: str, teacher: Tensor, student: Tensor, temperature: float) -> None:
    _check(name, teacher.shape == student.shape, f"{tuple(teacher.shape)}, {tuple(student.shape)}", "equal shapes")
    _check_temperature(name, temperature)


def _check_temperature(name: str, temperature: float) -> None:
    _check(name, temperature > 0, f"temperature={temperature}", "temperature > 0")


def _check(name: str, right: bool, got: str, expected: str) -> None:
    if not right:
        raise ValueError(f"{name}: got {got}; expected {expected}")
