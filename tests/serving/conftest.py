"""A shop, and what serves it."""

import pytest
from browsing import browser
from shop import made

from mmkd_core.export import export

__all__ = ["browser"]


@pytest.fixture(autouse=True)
def _no_stray_data(monkeypatch):
    monkeypatch.delenv("MMKD_DATA", raising=False)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return made(tmp_path_factory.mktemp("shops"))


@pytest.fixture(scope="module")
def exported(shop, tmp_path_factory):
    out = tmp_path_factory.mktemp("exports") / "out"
    export(shop[1], out)
    return out
