"""The workflows name only what there is, may do no more than they need, and pin what they use."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from mmkd_links import ask_the_registry

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
# What jobs may do beyond reading the code, and why: deploy pages; push the branch of plain copies.
ALLOWED = {"publish/pages": {"pages": "write", "id-token": "write"}, "publish/colab": {"contents": "write"}}


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.stem)
def workflow(request):
    return request.param.stem, yaml.safe_load(request.param.read_text())


def commands(jobs):
    """The lines that the steps of all jobs run."""
    return [line for job in jobs.values() for step in job["steps"] for line in step.get("run", "").splitlines()]


def missing(line, root=ROOT):
    """What a line of shell names in the repository and is not there: targets of make, files."""
    words = line.split(" #")[0].split()
    found = []
    if words[:1] == ["make"]:
        for target in (word for word in words[1:] if "=" not in word):
            done = subprocess.run(["make", "--dry-run", target], cwd=root, capture_output=True, check=False)
            known = re.search(
                rf"^(\.PHONY:.*\s)?{re.escape(target)}(:|\s|$)", (root / "Makefile").read_text(), re.MULTILINE
            )
            if done.returncode or not (known or target == ".venv/installed"):
                found.append(f"make {target}")
    found += [
        word
        for word in words
        if re.match(r"(\.ci|tools|tests|book|requirements)/", word) and not (root / word).exists()
    ]
    tools = [word for word in words if word.startswith(".venv/bin/")]
    return found + [word for word in tools if (root / ".venv").exists() and not (root / word).exists()]


def test_there_are_workflows():
    assert {path.stem for path in WORKFLOWS} == {"test", "publish", "weekly"}


def test_they_name_what_there_is(workflow):
    assert [name for line in commands(workflow[1]["jobs"]) for name in missing(line)] == []


def test_actions_are_pinned_by_major_version(workflow):
    used = [step["uses"] for job in workflow[1]["jobs"].values() for step in job["steps"] if "uses" in step]
    assert used
    assert not [name for name in used if not re.fullmatch(r"actions/[\w-]+@v\d+", name)]


def test_permissions_are_the_least(workflow):
    name, content = workflow
    assert content["permissions"] == {"contents": "read"}
    given = {f"{name}/{job}": keys["permissions"] for job, keys in content["jobs"].items() if "permissions" in keys}
    assert given == {job: permissions for job, permissions in ALLOWED.items() if job.startswith(f"{name}/")}


def test_every_job_ends(workflow):
    assert all(1 <= job["timeout-minutes"] <= 120 for job in workflow[1]["jobs"].values())


def test_no_expression_is_pasted_into_a_shell(workflow):
    assert not [line for line in commands(workflow[1]["jobs"]) if "${{" in line]


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
def test_shell_parses(workflow):
    for job in workflow[1]["jobs"].values():
        for step in job["steps"]:
            done = subprocess.run(
                ["bash", "-n"], input=step.get("run", ""), text=True, capture_output=True, check=False
            )
            assert done.returncode == 0, done.stderr


def test_what_is_published_knows_its_address():
    publish, weekly = (
        yaml.safe_load((ROOT / f".github/workflows/{name}.yml").read_text()) for name in ("publish", "weekly")
    )
    assert "BOOK_REPOSITORY" in publish["jobs"]["build"]["env"]
    assert "BOOK_REPOSITORY" in weekly["env"]


@pytest.mark.parametrize(
    "line", ["make nothing", "make html nothing", "tools/gone.py", ".ci/gone", "cp requirements/x.txt y"]
)
def test_the_gate_finds(line):
    assert missing(line)


@pytest.mark.parametrize("line", ["make html", "make colab pdf  # words", "make html X=1", ".ci/run", "cp _build/a b"])
def test_the_gate_lets_through(line):
    assert missing(line) == []


def test_a_doi_is_asked_of_the_registry():
    assert ask_the_registry(None, "https://doi.org/10.1/a") == "https://doi.org/api/handles/10.1/a"
    assert ask_the_registry(None, "https://example.org/a") is None
