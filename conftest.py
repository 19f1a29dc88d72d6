"""Here, not under tests/, because the notebooks are tests too."""

import os
import shutil
import tempfile

import pytest

pytest_plugins = ["nbval_tolerance"]

# What tests, their workers, kernels and commands keep of the demo is never in the user's own cache.
OWN_CACHE = None if "MMKD_DEMO_CACHE" in os.environ else tempfile.mkdtemp(prefix="mmkd-tests-")
os.environ.setdefault("MMKD_DEMO_CACHE", OWN_CACHE or "")


# Files and notebooks that take half a minute or more, the longest first: they begin first, so that no worker is left
# alone with one of them at the end. It needs --no-loadscope-reorder, without which xdist goes by the number of tests.
LONGEST = ("test_site", "test_papermill", "multimodal", "own_data", "test_cli", "test_steps", "test_colab", "tsne")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))


def pytest_unconfigure():
    if OWN_CACHE:
        shutil.rmtree(OWN_CACHE, ignore_errors=True)
