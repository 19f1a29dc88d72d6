"""Here, not under tests/, because the notebooks are tests too."""

import os
import shutil
import tempfile

pytest_plugins = ["nbval_tolerance"]

# What tests, their workers, kernels and commands keep of the demo is never in the user's own cache.
OWN_CACHE = None if "MMKD_DEMO_CACHE" in os.environ else tempfile.mkdtemp(prefix="mmkd-tests-")
os.environ.setdefault("MMKD_DEMO_CACHE", OWN_CACHE or "")


def pytest_unconfigure():
    if OWN_CACHE:
        shutil.rmtree(OWN_CACHE, ignore_errors=True)
