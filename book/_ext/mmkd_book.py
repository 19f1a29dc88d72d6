"""What the book asks of Sphinx beyond `_config.yml`."""

import os

import sphinx_thebe


def disconnect_thebe(app, config):
    """Live code is not used, and its scripts declare a constant twice: an error on every page."""
    for event in ("env-before-read-docs", "doctree-resolved"):
        for listener in list(app.events.listeners[event]):
            if getattr(listener.handler, "__module__", None) == sphinx_thebe.__name__:
                app.disconnect(listener.id)


def link_repository(app, config):
    """Repository and Colab buttons, if the address is known: a button that leads nowhere is worse than none."""
    theme = config.html_theme_options
    theme["repository_url"] = os.environ.get("BOOK_REPOSITORY") or theme["repository_url"]
    theme["use_repository_button"] = theme["use_issues_button"] = bool(theme["repository_url"])
    if theme["repository_url"]:
        theme["launch_buttons"] = {"colab_url": "https://colab.research.google.com"}


def setup(app):
    app.connect("config-inited", disconnect_thebe)
    app.connect("config-inited", link_repository)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
