"""Files and folders that are whole or not there, also when the program that writes them is killed."""

import contextlib
import hashlib
import json
import os
import platform
import shutil
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
# In what `mmkd import` and `mmkd export` write: where all of it comes from, and the caller's ids.
CARD, IDS = "card.json", "ids.parquet"
LARGEST_TOML = 2**20  # bytes, a thousand times what all settings need


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Lets `write` fill a temporary file beside `path`, then renames it: a reader never meets half a file.

    What killed writers left in that folder is swept away first. Raises `OSError` naming `path` where the disk is full
    or the folder may not be written to.
    """
    with _beside(path) as temporary:
        write(temporary)
        temporary.replace(path)


def write_folder(path: Path, fill: Callable[[Path], Any]) -> None:
    """`write_whole` of a folder: `fill` gets an empty one, which then takes the place of whatever folder is there.

    No system swaps two folders in one step, so a program that is killed between two renames leaves none; one that
    fails puts the old one back.
    """
    with _beside(path) as temporary:
        temporary.mkdir()
        fill(temporary)
        old = temporary.with_name(f".{path.name}.old{temporary.name.removeprefix(f'.{path.name}')}")
        if path.exists():
            path.replace(old)
        try:
            temporary.replace(path)
        except BaseException:
            if old.exists():
                old.replace(path)
            raise
        shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A name beside `path` for what is being written, of which nothing is left afterwards."""
    temporary = path.with_name(f".{path.name}.{_mark()}{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent)
        yield temporary
    except OSError as error:
        raise OSError(
            f"{path}: cannot be written ({error.strerror or error}); expected a folder with room and the right to "
            "write. What was there before is whole: mend that and do the same again"
        ) from error
    finally:
        with contextlib.suppress(OSError):  # a folder that takes no file gives none away either
            _remove(temporary)


def sha256_of(path: Path) -> str:
    """sha256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Writes `values` as JSON, whole or not at all, a line for each row of a table."""
    text = _lines(values) + "\n"
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _lines(value: Any, indent: str = "\n") -> str:
    """JSON in which each element of a list is a line, and so is an object that holds numbers and words alone."""
    deeper = indent + " "
    if isinstance(value, list | tuple) and any(isinstance(part, Mapping | list | tuple) for part in value):
        return "[" + deeper + ("," + deeper).join(map(json.dumps, value)) + indent + "]"
    if isinstance(value, Mapping) and any(isinstance(part, Mapping | list | tuple) and part for part in value.values()):
        members = (f"{json.dumps(str(name))}: {_lines(part, deeper)}" for name, part in value.items())
        return "{" + deeper + ("," + deeper).join(members) + indent + "}"
    return json.dumps(value)


def read_json(path: str | Path, make: Callable[[Any], T], what: str, by: str = "mmkd") -> T:
    """What `make` gives for the JSON in a file; raises `ValueError` naming a file that is missing or holds none.

    `by` is the command that writes such files.
    """
    try:
        return make(json.loads(Path(path).read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ValueError(f"{path}: no such {what}; expected a file that `{by}` wrote") from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path}: not a {what} ({error}); expected a JSON file that `{by}` wrote") from None


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file; raises `OSError`, or `ValueError` for what is none, too large or nested too deeply."""
    if (size := path.stat().st_size) > LARGEST_TOML:
        raise ValueError(f"{size:,} bytes; expected at most {LARGEST_TOML:,}")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("lists or tables nested too deeply") from None


def check_named(path: str | Path, key: str) -> None:
    """Raises `ValueError` for a file whose name does not end in the key that its content has."""
    if Path(path).stem.rpartition("-")[2] != key:
        raise ValueError(
            f"{path}: its content has the key {key}, so it was changed or renamed by hand; expected a name that ends "
            f"in -{key}.json: put back what it was, or run it again"
        )


def _mark() -> str:
    """Names the host, since a process id means nothing on another one that writes into the same folder."""
    return f"{platform.node().replace('.', '_')}-"


def _sweep(folder: Path) -> None:
    """Removes the temporary files of writers of this host that live no more; one that names no host is of this one.

    Folders as well, but those alone that name this host.
    """
    for file in folder.glob(".*.tmp"):
        named = file.name.removesuffix(".tmp").rpartition(".")[2]
        writer = named.removeprefix(_mark())
        if writer.isdecimal() and not _alive(int(writer)) and (writer != named or not file.is_dir()):
            with contextlib.suppress(OSError):  # another writer may sweep too, or the folder be another user's
                _remove(file)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


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
