"""A new question is one file: its table, its figure and its claims are known, and what stands stays as it is."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import call

PACKAGE = Path(__file__).parents[1] / "mmkd_core"
RECORDS = Path(__file__).parents[1] / "book" / "records"
FILE = '''"""Does more depth help LightGCN?"""

from collections.abc import Sequence

from matplotlib.figure import Figure

from mmkd_core.evidence.cases import SEEDS, Asked, Case, Names, Seeds, Variant
from mmkd_core.evidence.question import Claim, Question
from mmkd_core.evidence.store import Store
from mmkd_core.evidence.style import panels
from mmkd_core.evidence.tables import Frames, lines
from mmkd_core.evidence.verdicts import better, untestable

DEPTHS = {"in force": Variant("lightgcn"), "nine": Variant("lightgcn", hparams={"layers": 9})}


def cases(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """LightGCN at two depths."""
    asked = Asked(datasets, seeds, budget)
    rows = [({"depth": name}, variant) for name, variant in DEPTHS.items()]
    return asked.cases(rows, asked.datasets_or(("tiktok",)), asked.seeds_or(SEEDS))


def frames(cases: Sequence[Case], store: Store) -> Frames:
    """A line per depth."""
    return {"Depths": lines(store.rows(cases), "depth")}


def draw(cases: Sequence[Case], store: Store) -> Figure:
    """Nothing but an empty panel."""
    return panels(1, 2.0)[0]


QUESTION = Question(
    cases, table="depth", figure="depth", frames=frames, draw=draw, notes=("A note.",),
    claims={
        "deeper": Claim("nine layers do worse", "Sec. 0", better(cases, "depth", "in force", "nine"), "Depth", "depth"),
        "deepest": Claim("a hundred do worst", "Sec. 0", untestable("nobody has run them"), "Depth", "depth"),
    },
)
'''
CODE = """
from mmkd_core.__main__ import main
assert main(["table", "depth"]) == 0
assert main(["figure", "depth", "--out", "depth.svg"]) == 0
assert main(["claims"]) == 0
"""


@pytest.fixture
def world(tmp_path):
    """A folder with a copy of the package and TikTok's records in it, the package with one file more."""
    shutil.copytree(PACKAGE, tmp_path / "mmkd_core", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "book" / "records").mkdir(parents=True)
    (tmp_path / "book" / "records" / "tiktok").symlink_to(RECORDS / "tiktok")
    (tmp_path / "mmkd_core/evidence/questions/depth.py").write_text(FILE, encoding="utf-8")
    return tmp_path


def python(world, code):
    """What a fresh interpreter prints that finds the copy of the package first."""
    environment = os.environ | {"PYTHONPATH": str(world)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=world, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_one_file_makes_a_question(world, monkeypatch, capsys):
    said = python(world, CODE)
    table, figure, claims = said.split("A note.\n")
    (in_force,) = (line for line in table.splitlines() if line.startswith("in force"))
    assert "±" in in_force  # LightGCN's records serve this table as well
    (nine,) = (line for line in table.splitlines() if line.startswith("nine"))
    assert "not run" in nine  # planned by this file alone
    assert figure == "depth.svg\n"
    assert (world / "depth.svg").stat().st_size > 1000
    monkeypatch.chdir(world)
    ledger = call(capsys, "claims")[1]  # of the package as it is, with these records
    before, _, summary = ledger.rstrip("\n").rpartition("\n")
    assert claims.startswith(before)  # every claim that stood is told as it was
    assert summary.startswith("37 claims of the paper: ")
    assert "NOT RUN: nine layers do worse (Sec. 0)" in claims
    assert "CANNOT BE TESTED: a hundred do worst (Sec. 0)" in claims
    assert "39 claims of the paper: " in claims
