"""Shared by all tests: one thread, shapes checked at run time, and small data sets with known properties."""

import multiprocessing
import os
import re
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from jaxtyping import config, install_import_hook

torch.set_num_threads(1)  # two busy cores make torch's threads fight
settings.register_profile("tests", deadline=None, derandomize=True, database=None, max_examples=40)
settings.load_profile("tests")

# `data` and `datasets` check what they are given themselves and raise DataError; a type checker would come first.
CORE = Path(__file__).parents[1] / "mmkd_core"
UNHOOKED = {"__init__", "data", "datasets"}
HOOKED = [path.stem for path in CORE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
install_import_hook([f"mmkd_core.{name}" for name in HOOKED if name not in UNHOOKED], "beartype.beartype")

from mmkd_core.data import Batch, Dataset  # noqa: E402

WIDTHS = {"text": 7, "image": 12, "audio": 5}


def random_dataset(num_users=30, num_items=40, modalities=3, seed=0, missing=()):
    """Random interactions; the last user has none in train but one in val and test, the last item none in train.

    Items of `missing` have rows of zeros in the first modality.
    """
    generator = torch.Generator().manual_seed(seed)
    chosen = (torch.rand(num_users - 1, num_items - 1, generator=generator) < 0.25).nonzero()
    part = torch.rand(len(chosen), generator=generator)
    names = [*WIDTHS, "tags"][:modalities]
    features = {name: torch.randn(num_items, WIDTHS.get(name, 3), generator=generator) for name in names}
    for item in missing:
        features[names[0]][item] = 0
    last = torch.tensor([[num_users - 1, num_items - 1], [num_users - 1, 0]])
    return Dataset(
        "random",
        num_users,
        num_items,
        chosen[part < 0.7],
        torch.cat([chosen[(part >= 0.7) & (part < 0.85)], last[:1]]),
        torch.cat([chosen[part >= 0.85], last[1:]]),
        features,
    )


@pytest.fixture(scope="session")
def processes():
    """Processes that, when they start, have imported what the work that is killed needs, and trained once.

    For every test of a worker: multiprocessing has one server of forks, which preloads what it was told at its start.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["killed_run", "refreshing", "listing", "shop_log", "pytest"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # or it finds no module of the tests, and says nothing
        first = context.Process(target=int)
        first.start()
        first.join()
    return context


@pytest.fixture(scope="session")
def make_data():
    return random_dataset


@pytest.fixture(scope="session")
def data():
    """30 users, 40 items, three modalities, an isolated user and an isolated item."""
    return random_dataset()


@pytest.fixture(scope="session")
def checkerboard():
    """Even users like even items, odd users odd ones: 30 x 60, a user's 30 items split 22 : 4 : 4."""
    generator = torch.Generator().manual_seed(0)
    splits = {"train": [], "val": [], "test": []}
    for user in range(30):
        liked = 2 * torch.randperm(30, generator=generator) + user % 2
        for name, items in zip(splits, liked.split([22, 4, 4]), strict=True):
            splits[name].append(torch.stack([torch.full_like(items, user), items], 1))
    parity = torch.arange(60)[:, None] % 2 * 2.0 - 1
    features = {name: parity + 0.1 * torch.randn(60, 6, generator=generator) for name in ("image", "text")}
    return Dataset(
        "checkerboard", 30, 60, **{name: torch.cat(rows) for name, rows in splits.items()}, features=features
    )


@pytest.fixture(scope="session")
def make_batch():
    def make(data, negatives=1, size=16, seed=0, candidates=0):
        """Training pairs with uniform items as negatives (whether they are positives does not matter to a loss)."""
        generator = torch.Generator().manual_seed(seed)
        pairs = data.train[torch.randint(len(data.train), (size,), generator=generator)]
        neg = torch.randint(data.num_items, (size, negatives), generator=generator)
        shared = torch.randperm(data.num_items, generator=generator)[:candidates] if candidates else None
        return Batch(*pairs.T, neg, candidates=shared)

    return make


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _on_a_cpu(request, monkeypatch):
    """A GPU, where there is one, is for test_cuda.py alone: oracles and what they are held against lie on the CPU."""
    if request.module.__name__ != "test_cuda":
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def unchecked():
    """Run-time type checks off: for what a function itself says about wrong shapes."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


IN_FORCE = ("settings    ", "teacher")  # how the lines begin that `mmkd run` prints before it trains


@pytest.fixture
def refused(capsys):
    from command_line import call  # not above: the hook must be there first

    def check(*arguments, says):
        """Status 2; on stdout nothing but a run's settings, and on stderr one line, which matches `says`."""
        status, out, err = call(capsys, *arguments)
        assert (status, [line for line in out.splitlines() if not line.startswith(IN_FORCE)]) == (2, [])
        assert err.endswith("\n")
        assert err.count("\n") == 1
        assert "Traceback" not in err
        assert len(err) < 1000
        assert re.search(says, err.rstrip("\n")), err

    return check
