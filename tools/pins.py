"""Writes requirements/dev.txt and environment.yml from pyproject.toml: `make pins`."""

import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parent.parent
NEVER = "sys_platform == 'never'"
OPTIONAL = ("peers",)  # extras without pins: heavy, and one optional test alone needs them


def resolve(extras: Iterable[str]) -> str:
    """What uv resolves for these extras on every platform, with torch and all that only torch needs marked NEVER."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as overrides:
        overrides.write(f"torch ; {NEVER}")
        overrides.flush()
        command = [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--universal"]
        command += [f"--extra={extra}" for extra in extras if extra not in OPTIONAL]
        command += ["--python-version", "3.11", "--fork-strategy", "fewest", "--overrides", overrides.name]
        command += ["--no-header", "--no-annotate", "--quiet"]
        return subprocess.run(command, cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE).stdout


def requirements(resolved: str) -> str:
    """The pins of requirements/dev.txt. torch is not among them: the Makefile installs it first."""
    pins = [line for line in resolved.splitlines() if NEVER not in line]
    return "\n".join(["# Generated from pyproject.toml by `make pins`. torch is pinned in the Makefile.", *pins, ""])


def torch(makefile: str) -> str:
    """The requirement that the Makefile's variable TORCH holds."""
    match = re.search(r"^TORCH \?= (\S+)$", makefile, re.MULTILINE)
    if not match:
        raise ValueError("the Makefile has no line `TORCH ?= ...`")
    return match[1]


def environment(pyproject: dict, makefile: str) -> str:
    """environment.yml, for conda: everything comes by pip with the same pins."""
    return f"""\
# Generated from pyproject.toml and the Makefile by `make pins`.
name: {pyproject["project"]["name"]}
channels:
  - conda-forge
dependencies:
  - python{pyproject["project"]["requires-python"]}
  - pip
  - pip:
      - {torch(makefile)}
      - -r requirements/dev.txt
      - -e .
"""


if __name__ == "__main__":
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (ROOT / "requirements/dev.txt").write_text(requirements(resolve(pyproject["project"]["optional-dependencies"])))
    (ROOT / "environment.yml").write_text(environment(pyproject, (ROOT / "Makefile").read_text()))
