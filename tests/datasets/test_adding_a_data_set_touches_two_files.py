"""A new data set is its own file and one line of the registry: all else that names data sets then knows it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from made_up_folder import write_folder

from mmkd_core.datasets.remote import sum_problem

PACKAGE = Path(__file__).parents[2] / "mmkd_core"
FILE = '''"""Corner shop: what neighbours bought."""

from mmkd_core.datasets.entry import Entry

ENTRY = Entry(
    title="Corner Shop",
    summary="20 users × 60 items",
    source="https://shop.example/data/",
    terms="ask the shop",
    layout="mmrec",
    forms=({sums},),
)
'''


@pytest.fixture
def world(tmp_path):
    """A folder with a copy of the package in it, to which the data set is added, and its files beside it."""
    (tmp_path / "data").mkdir()
    data = write_folder(tmp_path / "data" / "corner-shop")
    shutil.copytree(PACKAGE, tmp_path / "mmkd_core", ignore=shutil.ignore_patterns("__pycache__"))
    sums = {path.name: sum_problem(path, "").split()[2].strip(";") for path in sorted(data.iterdir())}
    (tmp_path / "mmkd_core/datasets/corner_shop.py").write_text(FILE.format(sums=sums), encoding="utf-8")
    registry = tmp_path / "mmkd_core/datasets/__init__.py"
    text = registry.read_text(encoding="utf-8")
    assert text.count('        "ml-100k",\n') == 1
    registry.write_text(
        text.replace('        "ml-100k",\n', '        "ml-100k",\n        "corner-shop",\n'), encoding="utf-8"
    )
    return tmp_path


def python(world, *arguments):
    """What a fresh interpreter prints that finds the copy of the package first."""
    environment = os.environ | {"PYTHONPATH": str(world), "MMKD_DATA": str(world / "data"), "HOME": str(world)}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=world, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


# One process for all that imports torch.
CODE = """
from pathlib import Path
from mmkd_core.__main__ import main
assert main(["data", "check", "corner-shop"]) == 0
assert main("run popularity --data corner-shop --store runs --set data.swap=true".split()) == 0
Path("data/corner-shop/image_feat.npy").unlink()
from mmkd_core.datasets import DATASETS, canonical_name, load, title_of
print(DATASETS["corner-shop"].reader.__name__, title_of("corner-shop"), canonical_name("corner-shop"))
for options in ({"seed": 1}, {"download": False}):
    try:
        load("corner-shop", **options)
    except ValueError as error:
        print(error)
"""


def test_two_files_make_a_data_set(world):
    package = world / "mmkd_core"
    files = {path.relative_to(package) for path in package.rglob("*") if path.is_file()}
    before = {path: PACKAGE / path for path in files if (PACKAGE / path).exists()}
    changed = {path for path, original in before.items() if (package / path).read_bytes() != original.read_bytes()}
    assert {path.as_posix() for path in changed | (files - before.keys())} == {
        "datasets/__init__.py",
        "datasets/corner_shop.py",
    }
    said = python(world, "-m", "mmkd_core", "data", "list")
    assert "corner-shop    20 users × 60 items\n" in said
    assert "source: https://shop.example/data/\n" in said
    assert said.endswith("terms: ask the shop\n")
    said = python(world, "-c", CODE)
    assert said.count(": ok\n") == 3
    assert "corner-shop: 20 users × 60 items\n" in said
    assert "popularity on corner-shop" in said
    first, second, third = said.splitlines()[-3:]
    assert first == "load_folder Corner Shop corner-shop"
    assert second.startswith("unknown option 'seed' of corner-shop; one of ['cold', 'compact', ")
    assert "lacks image_feat.npy" in third
    assert third.endswith("they come from https://shop.example/data/")
