"""Small folders to load, the real data where there is any, and a cache that is never the user's own."""

import os
from pathlib import Path

import pytest
from small_folders import SPLITS, write_diffmm, write_features, write_mmrec


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache, and no MMKD_DATA: a test that wants the real data asks for `real_data`."""
    monkeypatch.delenv("MMKD_DATA", raising=False)
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / "cache" / project)
    return tmp_path / "cache" / "mmkd"


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "small"
    made.mkdir()
    return made


@pytest.fixture
def mmrec(folder):
    write_mmrec(folder, SPLITS)
    write_features(folder)
    return folder


@pytest.fixture
def diffmm(folder):
    write_diffmm(folder, SPLITS)
    write_features(folder)
    return folder


REAL = Path(os.environ.get("MMKD_DATA") or Path(__file__).parents[3] / "shared" / "data")


@pytest.fixture
def real_data(monkeypatch):
    """The folder of the real data, which is MMKD_DATA for the test."""
    if not REAL.is_dir():
        pytest.skip("no real data: set MMKD_DATA to the folder that holds tiktok/, lfm2k/, amazon-beauty/")
    monkeypatch.setenv("MMKD_DATA", str(REAL))
    return REAL
