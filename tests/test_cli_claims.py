"""The command `mmkd claims` as a user meets it: by name, with files, and from a record to its cells and claims."""

import re
from pathlib import Path

import pytest
from command_line import call

pytestmark = pytest.mark.usefixtures("unchecked")  # a user has no run-time type checks either
RECORDS = Path(__file__).parents[1] / "book" / "records"


def test_claims_by_name_and_their_files(capsys):
    status, out, _ = call(capsys, "claims", "complexity", "tuned prompt", "--files", "--records", RECORDS)
    assert status == 0
    assert [line.split(";")[0].strip() for line in out.splitlines() if " records" in line] == [
        "tuned prompt", "complexity",
    ]  # fmt: skip
    assert len(re.findall(r"^ {6}.*complexity/mmkd-\w+-demo-\w+\.json$", out, re.MULTILINE)) == 6
    assert out.rstrip().splitlines()[-1].startswith("2 claims of the paper: ")


def test_an_unknown_claim_is_named(refused):
    refused("claims", "nonsense", says=r"unknown claim 'nonsense'; one of \['best', ")


def test_the_cells_and_claims_of_a_record(capsys, tmp_path, refused):
    (path,) = (RECORDS / "tiktok" / "mmkd").glob("s0-2ce2737c7c7fefd4.json")
    status, out, _ = call(capsys, "claims", "tuned prompt", "complexity", "--of", path, "--records", RECORDS)
    cells, claims = out.split("\n\n", 1)
    assert status == 0
    assert cells.splitlines() == [
        "ablations: dataset tiktok, variant prompt frozen in stage 2, seed 0",
        "ablations: dataset tiktok, variant released: no gradient to the prompt, seed 0",
    ]
    assert "tuned prompt; 12 records, 3 seeds, settings from " in claims
    assert claims.rstrip().endswith("\n1 claim of the paper: 1 not reproduced")  # complexity rests on other files
    measurement = next((RECORDS / "complexity").glob("mmkd-edges-demo-*.json"))
    status, out, _ = call(capsys, "claims", "complexity", "--of", measurement, "--records", RECORDS)
    assert out.startswith("complexity: dataset demo, model mmkd, size edges\n\nREPRODUCED: serving needs")
    refused("claims", "--of", tmp_path / "s0-abc.json", says="no such record")
