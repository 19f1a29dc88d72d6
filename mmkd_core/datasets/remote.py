"""Files fetched from the network: whole and with the expected sha256, or not there at all."""

import contextlib
import logging
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pooch

from mmkd_core.datasets.files import pointer_problem

TIMEOUT = 30  # seconds without an answer


class NotFetchedError(Exception):
    """Why a file could not be had; the caller adds which data set it is of and what else can be done."""


def retrieve(url: str, sha256: str, path: Path) -> None:
    """Fetch `url` to `path` by way of a temporary name; raises `NotFetchedError`, then leaving nothing."""
    log = pooch.get_logger()
    level = log.level
    log.setLevel(logging.WARNING)  # it announces downloads on stderr; progress is the caller's to show
    downloader: Any = pooch.HTTPDownloader(timeout=TIMEOUT)
    try:
        pooch.retrieve(url, f"sha256:{sha256}", path.name, path.parent, downloader=downloader)
    # Whatever a network, a proxy or a file system can raise means the same here: the file is not there.
    except Exception as error:
        with contextlib.suppress(OSError):
            path.parent.rmdir()  # only when it is empty
        reason = textwrap.shorten(str(error), 120) if isinstance(error, OSError) else str(error)
        raise NotFetchedError(f"{url}: {type(error).__name__}: {reason}") from error
    finally:
        log.setLevel(level)


def retrieve_all(url: str, sums: Mapping[str, str], folder: Path) -> None:
    """Fetch each file of `sums` (name -> sha256) that `folder` lacks from below `url`."""
    for file, sha256 in sums.items():
        if not (folder / file).exists():
            retrieve(url + file, sha256, folder / file)


def sum_problem(path: Path, sha256: str) -> str | None:
    """What is wrong with the file at `path`, or None where it has the expected sum."""
    if not path.is_file():
        return f"no such file; expected sha256 {sha256}"
    if problem := pointer_problem(path):
        return problem
    digest = pooch.file_hash(str(path), alg="sha256")
    return None if digest == sha256 else f"got sha256 {digest}; expected {sha256}"


def retrieve_wheel(requirement: str, sha256: str, folder: Path) -> Path:
    """The one wheel of `requirement` from pip's package index, put into the empty `folder`; nothing is installed."""
    options = ["--quiet", "--no-input", "--no-deps", "--only-binary=:all:", "--retries=1", f"--timeout={TIMEOUT}"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), requirement]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20 * TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotFetchedError(f"pip download {requirement}: {error}") from error
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        reasons = done.stderr.strip().splitlines() or [f"{len(wheels)} wheels"]
        raise NotFetchedError(f"pip download {requirement}: {reasons[-1]}")
    if problem := sum_problem(wheels[0], sha256):
        raise NotFetchedError(f"{wheels[0].name}: {problem}")
    return wheels[0]


def extract(archive: Path, inner: str, files: Iterable[str], folder: Path) -> None:
    """Copy `files` out of the zip's folder `inner` to `folder`, each under its name only when it is whole.

    `archive` must be on the file system of `folder`: the copies are made beside it, then renamed.
    """
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(archive) as opened:
        for file in files:
            whole = archive.with_name(file)
            whole.write_bytes(opened.read(f"{inner}/{file}"))
            whole.replace(folder / file)
