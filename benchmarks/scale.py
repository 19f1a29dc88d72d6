"""How seconds and memory grow with interactions, items, the width of features and the number of modalities.

    python -m benchmarks.scale --out book/records/speed/scale.json

One size after the other grows, 1 to 64 times, while the others stay; interactions are drawn from a power law. Each
point is measured in a process of its own, on one thread, in CPU seconds. To the points of each quantity y = a + b x^n
is fitted, where x is how many times as large: "power" is n, 0 where nothing grows.
"""

import argparse
import statistics
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.optimize import nnls

from benchmarks.generated import generated_data
from mmkd_core.cost import environment, timed
from mmkd_core.data import Dataset, Embeddings
from mmkd_core.evaluation import rank
from mmkd_core.evidence.meters import alone, peak_memory
from mmkd_core.files import write_json
from mmkd_core.models import build
from mmkd_core.training import FitConfig, Trainer, train_epoch

CPU = torch.device("cpu")
FACTORS = (1, 4, 16, 64)
STEPS, DIM = 5, 64
FLAT = 1.25  # what grows by less from the first to the last point does not grow


class Size(NamedTuple):
    """The sizes of generated data."""

    users: int = 20_000
    items: int = 5_000
    edges: int = 100_000
    width: int = 128
    modalities: int = 1


AXES = {"interactions": "edges", "items": "items", "width": "width", "modalities": "modalities"}


def measure(size: Size) -> dict[str, float]:
    """Seconds of a step of LightGCN and of the teacher and of 1,000 lists; MiB of each beyond what imports take."""
    torch.set_num_threads(1)
    before = peak_memory(CPU)["resident"]
    widths = {f"modality {index}": size.width for index in range(size.modalities)}
    data = generated_data(size.users, size.items, size.edges, widths)
    peak_memory(CPU)  # what drawing took is no matter
    found = {}
    for name in ("lightgcn", "teacher"):
        found[f"{name}, s per step"] = _step(name, data)
        found[f"{name}, MiB"] = peak_memory(CPU)["resident"] - before
    tables = Embeddings(torch.randn(size.users, DIM), torch.randn(size.items, DIM))
    users = torch.arange(size.users)
    seconds = [timed(lambda: rank(tables, users, data, 20), CPU)[1] for _ in range(4)][1:]
    return found | {"ranking, s per 1,000 users": 1000 * statistics.median(seconds) / size.users}


def _step(name: str, data: Dataset) -> float:
    torch.manual_seed(0)
    trainer = Trainer(build(name, data, {"dim": DIM}), data, FitConfig())
    batches = trainer.batches()

    def once() -> float:
        return timed(lambda: train_epoch(trainer.stepper, islice(batches, 1)), CPU)[1]

    return statistics.median([once() for _ in range(STEPS + 1)][1:])


def power(factors: Sequence[float], values: Sequence[float]) -> dict[str, float]:
    """n and a of y = a + b x^n, a and b at least 0, with the least sum of squared relative errors; n in hundredths."""
    x, y = np.asarray(factors, dtype=float), np.asarray(values, dtype=float)
    if y[-1] < FLAT * y[0]:
        return {"power": 0.0, "constant": round(float(y.mean()), 5)}
    fits = []
    for n in np.arange(0.05, 3.0, 0.01):
        (constant, _), error = nnls(np.stack([np.ones_like(x), x**n], 1) / y[:, None], np.ones_like(x))
        fits.append((error, float(n), float(constant)))
    _, n, constant = min(fits)
    return {"power": round(n, 2), "constant": round(constant, 5)}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--axes", nargs="+", choices=list(AXES), default=list(AXES))
    parser.add_argument("--factors", nargs="+", type=int, default=FACTORS)
    parser.add_argument("--shrink", type=int, default=1, help="divide users, items and interactions by this")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write a JSON record too")
    given = parser.parse_args(arguments)
    base = Size()
    base = base._replace(**{name: getattr(base, name) // given.shrink for name in ("users", "items", "edges")})
    found: dict[str, Any] = {"base": base._asdict(), "factors": list(given.factors), "points": {}, "powers": {}}
    known: dict[Size, dict[str, float]] = {}
    for axis in given.axes:
        points = []
        for factor in given.factors:
            size = base._replace(**{AXES[axis]: factor * getattr(base, AXES[axis])})
            known[size] = known.get(size) or alone(measure, size)
            points.append(known[size])
            print(
                f"{axis} x {factor}: " + ", ".join(f"{name} {value:.4g}" for name, value in points[-1].items()),
                flush=True,
            )
        series = {name: [point[name] for point in points] for name in points[0]}
        found["points"][axis] = series
        found["powers"][axis] = {name: power(given.factors, values) for name, values in series.items()}
        if given.out:
            write_json(given.out, found | {"environment": environment(CPU)})
    for axis, powers in found["powers"].items():
        print(f"{axis}: " + ", ".join(f"{name} {fit['power']:.2f}" for name, fit in powers.items()))


if __name__ == "__main__":
    main()
