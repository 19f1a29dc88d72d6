"""The book's Sphinx extension: no button leads nowhere, and one setting fills them all."""

from types import SimpleNamespace

import pytest
from mmkd_book import link_repository


@pytest.fixture
def linked(monkeypatch):
    def link(setting="", variable=""):
        monkeypatch.setenv("BOOK_REPOSITORY", variable)
        config = SimpleNamespace(html_theme_options={"repository_url": setting, "launch_buttons": {"colab_url": ""}})
        link_repository(None, config)
        return config.html_theme_options

    return link


def test_without_an_address_there_is_no_button(linked):
    theme = linked()
    assert not theme["use_repository_button"]
    assert not theme["use_issues_button"]
    assert not any(theme["launch_buttons"].values())


@pytest.mark.parametrize("place", ["setting", "variable"])
def test_one_address_fills_every_button(linked, place):
    theme = linked(**{place: "https://github.com/owner/name"})
    assert theme["repository_url"] == "https://github.com/owner/name"
    assert theme["use_repository_button"]
    assert theme["use_issues_button"]
    assert theme["launch_buttons"]["colab_url"]


def test_the_variable_goes_before_the_setting(linked):
    assert linked("https://github.com/a/a", "https://github.com/b/b")["repository_url"].endswith("b/b")
