"""How the command line starts and prints: at once, and in any encoding."""

import io
import subprocess
import sys
import warnings

import pytest

from mmkd_core import engine, figures, recipes, tables
from mmkd_core.__main__ import _never_fail_to_print, main
from mmkd_core.claims import TOPICS
from mmkd_core.commands import evidence

HEAVY = ("torch", "numpy", "scipy", "pandas", "sklearn", "matplotlib", "pooch", "jaxtyping")
# Help and usage errors of every command, one after another in one process; then which heavy modules are there.
STARTS = f"""
import contextlib, io, sys
import mmkd_core
from mmkd_core.__main__ import main
said = []
for arguments in ARGUMENTS:
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            status = main(arguments)
        except SystemExit as stop:
            status = stop.code
    assert out.getvalue() + err.getvalue(), arguments
    said.append(status)
print(said, len(sys.modules), [name for name in {HEAVY} if name in sys.modules])
"""
LIGHT = {
    0: [["--help"], ["--version"], ["data", "--help"], ["data", "list"], ["recommend", "--help"], ["table", "--help"],
        ["figure", "--help"], ["claims", "--help"], ["--threads", "1", "data", "list"]],
    2: [[], ["fly"], ["run"], ["run", "lightgcn"], ["run", "lightgcn", "--data", "demo", "--seed", "x"], ["table", "2"],
        ["figure", "2"], ["table", "4", "--budget", "large"], ["recommend", "x"], ["data"],
        ["--threads", "-1", "claims"]],
}  # fmt: skip


@pytest.mark.parametrize("status", LIGHT)
def test_help_and_usage_errors_import_nothing_heavy(status):
    program = STARTS.replace("ARGUMENTS", repr(LIGHT[status]))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    statuses, _, rest = done.stdout.partition("] ")
    assert statuses == str([status] * len(LIGHT[status]))[:-1]
    count, _, heavy = rest.strip().partition(" ")
    assert heavy == "[]"
    assert int(count) < 250  # Python alone has some 60, argparse and dataclasses as many


def test_the_names_that_the_command_line_knows_are_those_that_there_are():
    assert tuple(tables.TABLES) == evidence.TABLES
    assert evidence.FIGURES == tuple(figures.FIGURES) == tuple(recipes.FIGURES)
    assert tuple(recipes.BUDGETS) == evidence.BUDGETS
    assert tuple(engine.ENGINES) == evidence.ENGINES


def test_the_package_gives_what_it_names_and_nothing_else():
    import mmkd_core

    for name in mmkd_core.__all__:
        assert getattr(mmkd_core, name) is not None
    assert set(mmkd_core.__all__) <= set(dir(mmkd_core))
    with pytest.raises(AttributeError, match="has no attribute 'fitt'"):
        _ = mmkd_core.fitt


# --- encodings ---


def printed(arguments, encoding):
    done = subprocess.run(
        [sys.executable, "-m", "mmkd_core", *arguments],
        env={"PYTHONIOENCODING": encoding, "PATH": "", "OMP_NUM_THREADS": "1"},
        capture_output=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("encoding", ["cp1252", "gbk", "cp1251", "ascii", "utf-8"])
def test_what_goes_into_a_file_is_whole_whatever_the_encoding_of_the_environment(encoding):
    for arguments, mark in ((["data", "list"], "×"), (["--help"], "the paper's Table 4")):
        status, out, err = printed(arguments, encoding)
        assert (status, err) == (0, b"")
        assert mark in out.decode("utf-8")


def test_the_evidence_is_whole_in_another_encoding():
    status, out, err = printed(["claims"], "gbk")
    assert (status, err) == (0, b"")
    assert out.decode("utf-8").count(" records; notebooks/") == sum(map(len, TOPICS.values()))


class Terminal(io.TextIOWrapper):
    def isatty(self):
        return True


def test_a_terminal_that_lacks_a_character_shows_a_question_mark(monkeypatch):
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", Terminal(shown, encoding="cp1252"))
    _never_fail_to_print()
    sys.stdout.write("12 × 3 ≥ †₁\n")
    sys.stdout.flush()
    assert shown.getvalue() == "12 × 3 ? †?\n".encode("cp1252")


# --- warnings ---


def test_a_warning_is_one_line(monkeypatch, capsys):
    def warn(_):
        warnings.simplefilter("default")
        warnings.warn("3 users\nhave no interaction", UserWarning, stacklevel=2)
        return 0

    monkeypatch.setattr("mmkd_core.commands.data._list", warn)
    assert main(["data", "list"]) == 0
    assert capsys.readouterr() == ("", "mmkd: note: 3 users have no interaction\n")


# --- memory ---


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: 9 B"),
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        RuntimeError("Storage size calculation overflowed with sizes=[4611686018427387904, 64]"),
        OverflowError("Python int too large to convert to C long"),
    ],
)
def test_memory_that_runs_out_is_one_line(error, monkeypatch, capsys):
    def fail(_):
        raise error

    monkeypatch.setattr("mmkd_core.commands.data._list", fail)
    assert main(["data", "list"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert str(error) in err
    assert err.startswith("mmkd: ")


def test_an_error_of_ours_is_not_taken_for_a_lack_of_memory(monkeypatch):
    def fail(_):
        raise RuntimeError("shapes differ")

    monkeypatch.setattr("mmkd_core.commands.data._list", fail)
    with pytest.raises(RuntimeError, match="shapes differ"):
        main(["data", "list"])
