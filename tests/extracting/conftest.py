"""A shop with pictures, texts and sounds, and a cache that is never the user's own."""

import pytest
from gallery import made


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """An empty cache, outside of the test's own folder."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("MMKD_FEATURES_CACHE", str(folder))
    monkeypatch.delenv("MMKD_DATA", raising=False)
    return folder


@pytest.fixture
def shop(tmp_path):
    """The folder of the shop; its media lie beside it."""
    return made(tmp_path)
