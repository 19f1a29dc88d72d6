"""Files that are whole or not there, also when the program that writes them is killed."""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Lets `write` fill a temporary file beside `path`, then renames it: a reader never meets half a file.

    What killed writers left in that folder is swept away first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path.parent)
    temporary = path.with_name(f".{path.name}.{_mark()}{os.getpid()}.tmp")
    try:
        write(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Writes `values` as JSON, whole or not at all."""
    text = json.dumps(values, indent=1) + "\n"
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _mark() -> str:
    """Names the host, since a process id means nothing on another one that writes into the same folder."""
    return f"{platform.node().replace('.', '_')}-"


def _sweep(folder: Path) -> None:
    """Removes the temporary files of writers of this host that live no more; one that names no host is of this one."""
    for file in folder.glob(".*.tmp"):
        writer = file.name.removesuffix(".tmp").rpartition(".")[2].removeprefix(_mark())
        if writer.isdecimal() and not _alive(int(writer)):
            with contextlib.suppress(OSError):  # another writer may sweep too, or the folder be another user's
                file.unlink()


def _alive(process: int) -> bool:
    if os.name != "posix":
        return True  # elsewhere asking ends it
    try:
        os.kill(process, 0)  # signal 0 asks and does nothing
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # somebody else's; no process at all, so no file of ours
        return True
    return True
