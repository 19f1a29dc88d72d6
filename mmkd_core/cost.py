"""What a model costs: parameters, seconds, memory, and the machine that it ran on."""

import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
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


@contextmanager
def metered(device: torch.device) -> Iterator[dict[str, Any]]:
    """Fills the yielded dict at the end: wall and CPU seconds, and the peak memory so far, in MiB.

    On a CPU the peak is the process's, everything imported included.
    """
    cost: dict[str, Any] = {}
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    wall, cpu = time.perf_counter(), time.process_time()
    yield cost
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    cost["seconds"] = round(time.perf_counter() - wall, 2)
    cost["cpu_seconds"] = round(time.process_time() - cpu, 2)
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)
    cost["peak_memory_mib"] = round(resident)
    if device.type == "cuda":
        cost["peak_gpu_memory_mib"] = round(torch.cuda.max_memory_allocated(device) / 1024**2)


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
