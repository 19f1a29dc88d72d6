"""What a model costs: parameters, seconds, memory, and the machine that it ran on."""

import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from mmkd_core.sparse import Graph

T = TypeVar("T")


def parameters(model: nn.Module, served: Any) -> dict[str, int]:
    """Numbers held: `trained` (with requires_grad), `frozen`, `constants` (buffers), `served` (the final tables).

    `served` is what `model.embed()` gives, a tuple of tables. Of a sparse table that serves, the stored entries count.
    """
    counts = {"trained": 0, "frozen": 0}
    for parameter in model.parameters():
        counts["trained" if parameter.requires_grad else "frozen"] += parameter.numel()
    tables = [part.values if isinstance(part, Graph) else part for part in served if isinstance(part, Graph | Tensor)]
    return counts | {
        "constants": sum(buffer.numel() for buffer in model.buffers()),
        "served": sum(table.numel() for table in tables),
    }


def timed(call: Callable[[], T], device: torch.device) -> tuple[T, float]:
    """What `call` gives, and the CPU seconds that it took; on a GPU those that passed."""
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    start = clock()
    result = call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return result, round(clock() - start, 4)


class Meter:
    """Wall and CPU seconds since it was made, and the peak memory so far, in MiB.

    On a CPU the peak is the process's, everything imported included.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.wall, self.cpu = device, time.perf_counter(), time.process_time()

    def read(self) -> dict[str, Any]:
        on_gpu = self.device.type == "cuda"
        if on_gpu:
            torch.cuda.synchronize(self.device)
        resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)
        cost = {
            "seconds": round(time.perf_counter() - self.wall, 2),
            "cpu_seconds": round(time.process_time() - self.cpu, 2),
            "peak_memory_mib": round(resident),
        }
        gpu = {"peak_gpu_memory_mib": round(torch.cuda.max_memory_allocated(self.device) / 1024**2)} if on_gpu else {}
        return cost | gpu


@contextmanager
def metered(device: torch.device) -> Iterator[dict[str, Any]]:
    """Fills the yielded dict at the end with what a `Meter` reads then: what is done inside, and that alone."""
    cost: dict[str, Any] = {}
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    meter = Meter(device)
    yield cost
    cost |= meter.read()


def added(earlier: Mapping[str, Any], cost: Mapping[str, Any]) -> dict[str, Any]:
    """The cost of several sessions: their seconds together, the largest peaks, and how many `sessions` they were.

    `earlier` is empty where there was one alone; that number is then left out.
    """
    if not earlier:
        return dict(cost)
    together = {
        name: round(earlier[name] + value, 2) if name.endswith("seconds") else max(earlier[name], value)
        for name, value in cost.items()
    }
    return together | {"sessions": earlier.get("sessions", 1) + 1}


def environment(device: torch.device) -> dict[str, Any]:
    """Versions, processor, device, threads, commit and date (UTC)."""
    return {
        "mmkd_core": version("mmkd-book"),
        "commit": _commit(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": version("numpy"),
        "machine": platform.machine(),
        "processor": _processor(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
    }


def _commit() -> str | None:
    """The commit of the working copy that this file lies in, marked where the library differs from it; None outside."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        head, changes = (
            subprocess.run([*git, *arguments], capture_output=True, text=True, check=True).stdout.strip()
            for arguments in (("rev-parse", "--short=12", "HEAD"), ("status", "--porcelain", "--", "."))
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{head}-dirty" if changes else head


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()
