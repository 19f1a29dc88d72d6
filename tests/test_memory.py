"""What cannot fit into memory is refused before anything is allocated, with the largest size that fits."""

import re

import numpy as np
import pytest
import torch

from mmkd_core import MODELS, memory, runs
from mmkd_core import experiment as module
from mmkd_core.__main__ import main
from mmkd_core.memory import check_fits, spelt
from mmkd_core.models import VARIANTS, check_memory, defaults_of

pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.fixture
def machine(monkeypatch):
    """Gives the machine so many bytes."""
    return lambda size: monkeypatch.setattr(memory, "of_machine", lambda: size)


def largest(said):
    """The largest size that a message names."""
    return int(re.search(r"the largest \w+ that they could hold is ([\d,]+)$", said)[1].replace(",", ""))


@pytest.mark.parametrize("size", [lambda n: 3 * n, lambda n: n * n, lambda n: (80 + 2 * n) * n * 16])
@pytest.mark.parametrize("there", [0, 1, 1000, 2**40])
def test_the_largest_that_is_named_fits_and_one_more_does_not(size, there, machine):
    machine(there)
    with pytest.raises(ValueError, match="n=1000000000000 of x would take") as caught:
        check_fits("n", 10**12, size, "x")
    found = largest(str(caught.value))
    check_fits("n", found, size, "x")
    with pytest.raises(ValueError, match=rf"n={found + 1} of x"):
        check_fits("n", found + 1, size, "x")


@pytest.mark.parametrize("name", [name for name in (*MODELS, *VARIANTS) if "dim" in defaults_of(name)])
def test_a_model_counts_no_more_than_it_trains(name, data, machine):
    """So nothing is refused that fits: its parameters, their gradients and AdamW's two moments are float32."""
    wide = defaults_of(name) | {"dim": 300}
    machine(1)
    with pytest.raises(ValueError, match="dim=300 of ") as caught:
        check_memory(name, wide, data)
    number, unit = re.search(r"would take ([\d.]+) ([kM])B", str(caught.value)).groups()
    counted = float(number) * {"k": 1e3, "M": 1e6}[unit]
    machine(2**40)
    model = (MODELS | VARIANTS)[name](data, **wide)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad or name.startswith("mmkd"))
    assert 0.05 * 16 * trained < counted < 1.01 * 16 * trained


def test_the_student_is_measured_before_its_teacher_is_trained(make_data, machine, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "fit", lambda *_, **__: pytest.fail("trained"))
    machine(2**20)
    teacher = module.plan("teacher", "toy", hparams={"dim": 2})
    experiment = module.plan("mmkd", "toy", hparams={"dim": 2**20}, teacher=teacher)
    with pytest.raises(ValueError, match="dim=1048576 of mmkd would take"):
        runs.run(experiment, tmp_path, data=make_data(num_items=60))


@pytest.mark.parametrize(
    ("said", "found"),
    [("4096\n", 4096), ("max\n", None), (f"{2**63 - 4096}\n", None), ("", None), (None, None)],
)
def test_a_container_may_have_less_than_the_machine(said, found, tmp_path, monkeypatch):
    if said is not None:
        (tmp_path / "limit").write_text(said)
    monkeypatch.setattr(memory, "CGROUPS", (tmp_path / "none", tmp_path / "limit"))
    whole = memory.os.sysconf("SC_PAGE_SIZE") * memory.os.sysconf("SC_PHYS_PAGES")
    memory.of_machine.cache_clear()
    assert memory.of_machine() == (found or whole)
    memory.of_machine.cache_clear()


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (2_560_000_000, "2.6 GB"), (10**20, "100,000.0 PB")],
)
def test_sizes_are_said_in_units(size, text):
    assert spelt(size) == text


HUGE = [
    lambda: np.empty(2**48),
    lambda: torch.empty(2**44),
    lambda: torch.empty(2**62),
    lambda: torch.empty(2**40, 2**40),
    lambda: torch.nn.Embedding(2**40, 2**20),
    lambda: bytearray(2**62),
]


@pytest.mark.parametrize("allocate", HUGE)
def test_a_failed_allocation_is_one_line(allocate, capsys, monkeypatch):
    monkeypatch.setattr("mmkd_core.datasets.check", lambda name: allocate())
    assert main(["data", "check", "demo"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"mmkd: not enough memory for this \(.+\); try smaller sizes or less data\n", err)
    assert len(err) < 600


def test_another_error_of_torch_is_none_of_memory(monkeypatch):
    def fault(name):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr("mmkd_core.datasets.check", fault)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        main(["data", "check", "demo"])
