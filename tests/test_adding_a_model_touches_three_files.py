"""A new model is its file, its settings and its entry in the registry; the paper's tables do not plan it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import call
from made_up_folder import write_folder

ROOT = Path(__file__).parents[1]
FILE = '''"""Echo: BPR-MF under another name, for a test."""

from mmkd_core.models.bpr_mf import BPRMF


class Echo(BPRMF):
    title, citation = "Echo", "rendle2009bpr"
'''
SETTINGS = """\
[search]
l2 = { low = 1e-3, high = 0.3 }
fit.lr = { low = 5e-4, high = 1e-2 }
"""
# What needs torch in one process: a run, the protocol that all models have, the search's space, the speed table's rows.
CODE = """
from contextlib import suppress
from mmkd_core.__main__ import main
with suppress(SystemExit):
    main(["run", "--help"])
from mmkd_core.models import MODELS
assert main("run echo --data small --set fit.epochs=2 --set fit.evaluate_every=1".split()) == 0
assert MODELS["echo"].title == "Echo"
from mmkd_core.chosen import tables_of
print("space", sorted(tables_of("echo")["search"]))
from benchmarks.epochs import rows
print("speed", [row[0] for row in rows() if row[0] == "Echo"])
from mmkd_core.evidence.questions import QUESTIONS
print("planned", sorted(name for name, q in QUESTIONS.items() for case in q.cases() if "echo" in str(case.job)))
"""
EVIDENCE = """
print("evidence")
assert main(["table", "4"]) == main(["claims"]) == 0
"""


@pytest.fixture
def world(tmp_path):
    """A folder with copies of the package and the benchmarks, to which the model is added, and a small data set.

    The records in it are TikTok's.
    """
    for name in ("mmkd_core", "benchmarks"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "book" / "records").mkdir(parents=True)
    (tmp_path / "book" / "records" / "tiktok").symlink_to(ROOT / "book" / "records" / "tiktok")
    write_folder(tmp_path / "small")
    package = tmp_path / "mmkd_core"
    (package / "models/echo.py").write_text(FILE, encoding="utf-8")
    (package / "hparams/echo.toml").write_text(SETTINGS, encoding="utf-8")
    registry = package / "models/__init__.py"
    text = registry.read_text(encoding="utf-8")
    text = text.replace(
        "from mmkd_core.models.grcn", "from mmkd_core.models.echo import Echo\nfrom mmkd_core.models.grcn"
    )
    registry.write_text(text.replace('    "mmkd": MMKD,\n', '    "mmkd": MMKD,\n    "echo": Echo,\n'), encoding="utf-8")
    return tmp_path


def python(world, code):
    """What a fresh interpreter prints that finds the copies first."""
    environment = os.environ | {"PYTHONPATH": str(world), "MMKD_DATA": str(world)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=world, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_three_files_make_a_model(world, monkeypatch, capsys):
    said, _, evidence = python(world, CODE + EVIDENCE).partition("evidence\n")
    assert "\n  echo        dim=64 l2=0.0001\n" in said
    assert "echo on small, seed 0" in said
    assert "space ['fit', 'l2']" in said
    assert "speed ['Echo']" in said
    assert "planned []" in said
    monkeypatch.chdir(world)
    before = call(capsys, "table", "4")[1] + call(capsys, "claims")[1]  # of the package as it is, with these records
    assert evidence == before  # to the byte, and no Echo among them
    assert "0.0612/0.0211" in evidence
    assert "37 claims of the paper: " in evidence
    assert "Echo" not in evidence
