"""A small data set of 20 users and 60 items, and the check that the command line refuses something well."""

import re

import pytest
import torch
from made_up_folder import write_folder

from mmkd_core.__main__ import main


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture(autouse=True)
def _as_at_home(monkeypatch):
    monkeypatch.delenv("MMKD_DATA", raising=False)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def refused(capsys):
    def check(*arguments, says):
        """Status 2, nothing on stdout, and one line on stderr that matches `says`."""
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as stop:
            status = stop.code
        out, err = capsys.readouterr()
        assert (status, out) == (2, "")
        assert err.endswith("\n")
        assert err.count("\n") == 1
        assert "Traceback" not in err
        assert len(err) < 1000
        assert re.search(says, err.rstrip("\n")), err

    return check
