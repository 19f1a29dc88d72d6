"""requirements/dev.txt and environment.yml agree with pyproject.toml, the one source of dependencies."""

import itertools
import re
import tomllib
from pathlib import Path

import pins
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MAKEFILE = (ROOT / "Makefile").read_text()
ENVIRONMENT = (ROOT / "environment.yml").read_text()
LINES = [line for line in (ROOT / "requirements/dev.txt").read_text().splitlines() if not line.startswith("#")]
PINNED = {canonicalize_name(pin.name): pin for pin in map(Requirement, LINES)}
EXTRAS = [x for name, x in PYPROJECT["project"]["optional-dependencies"].items() if name not in pins.OPTIONAL]
DIRECT = list(map(Requirement, itertools.chain(PYPROJECT["project"]["dependencies"], *EXTRAS)))


def version(pin):
    (specifier,) = pin.specifier
    assert specifier.operator == "=="
    return specifier.version


@pytest.mark.parametrize("wanted", DIRECT, ids=str)
def test_every_dependency_has_a_pin_that_satisfies_it(wanted):
    name = canonicalize_name(wanted.name)
    pin = Requirement(pins.torch(MAKEFILE)) if name == "torch" else PINNED[name]
    assert wanted.specifier.contains(version(pin))


def test_the_lowest_torch_that_is_run_is_the_lowest_that_is_admitted():
    (bound,) = (wanted.specifier for wanted in DIRECT if wanted.name == "torch")
    lowest = re.search(r"^TORCH_LOWEST \?= torch==(\S+)$", MAKEFILE, re.MULTILINE)
    assert lowest is not None
    assert f">={lowest[1].removesuffix('.0')}" == str(bound)


def test_pins_are_versions_and_leave_torch_to_the_makefile():
    assert all(map(version, PINNED.values()))
    assert not [name for name in PINNED if re.match("torch|nvidia|cuda|triton", name)]


def test_pins_are_sorted_as_generated():
    assert pins.requirements("\n".join(LINES)) == (ROOT / "requirements/dev.txt").read_text()


def test_what_only_torch_needs_is_left_out():
    resolved = "numpy==2.4.6\nsympy==1.14.0 ; sys_platform == 'never'\n"
    assert pins.requirements(resolved).splitlines()[1:] == ["numpy==2.4.6"]


def test_environment_is_what_the_generator_gives():
    assert pins.environment(PYPROJECT, MAKEFILE) == ENVIRONMENT


def test_environment_for_conda():
    environment = yaml.safe_load(ENVIRONMENT)
    assert environment["channels"] == ["conda-forge"]
    python, pip, packages = environment["dependencies"]
    assert (python, pip) == ("python" + PYPROJECT["project"]["requires-python"], "pip")
    assert packages["pip"] == [pins.torch(MAKEFILE), "-r requirements/dev.txt", "-e ."]


def test_no_index_is_named():
    files = [ROOT / "Makefile", ROOT / "environment.yml", ROOT / "requirements/dev.txt", ROOT / ".ci/run"]
    far = r"https?://(?!127\.0\.0\.1\b)"  # where `make colab-check` serves the site is no index
    assert not [file.name for file in files if re.search(far, file.read_text())]
