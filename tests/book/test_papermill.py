"""A reader runs a chapter with other parameters: `papermill notebooks/01_quickstart.ipynb out.ipynb -p epochs 1`."""

import subprocess
import sys
from pathlib import Path

import nbformat

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "01_quickstart.ipynb"


def test_the_quickstart_takes_parameters(tmp_path):
    out = tmp_path / "out.ipynb"
    parameters = ["-p", "epochs", "2", "-p", "student_epochs", "1", "-p", "user", "5"]
    command = [sys.executable, "-m", "papermill", str(NOTEBOOK), str(out), *parameters, "--no-progress-bar"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    cells = nbformat.read(out, as_version=4).cells
    injected = [cell.source for cell in cells if "injected-parameters" in cell.metadata.get("tags", [])]
    assert injected == ["# Parameters\nepochs = 2\nstudent_epochs = 1\nuser = 5\n"]
    text = "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))
    assert "recall@20" in text
