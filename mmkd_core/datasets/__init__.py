"""Data sets by name or by folder: `load("tiktok")`, `load("path/to/folder")`.

A named data set is one file of this package, which exports its `ENTRY`, and one line here.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mmkd_core.datasets.entry import Entry

if TYPE_CHECKING:
    from mmkd_core.datasets.controls import controlled
    from mmkd_core.datasets.layouts import LAYOUTS
    from mmkd_core.datasets.loading import OPTIONS, check, fetch, load, non_default_options
    from mmkd_core.datasets.places import canonical_name

__all__ = [
    "DATASETS",
    "LAYOUTS",
    "OPTIONS",
    "canonical_name",
    "check",
    "controlled",
    "fetch",
    "load",
    "non_default_options",
    "title_of",
]  # fmt: skip

DATASETS: dict[str, Entry] = {
    name: import_module(f"{__name__}.{name.replace('-', '_')}").ENTRY
    for name in (
        "demo",
        "tiktok",
        "lfm2k",
        "amazon-beauty",
        "amazon-beauty-wide",
        "taobao",
        "ml-100k",
    )
}


def title_of(name: str) -> str:
    """What prose calls a data set: the title of a named one, else its own name."""
    return DATASETS[name].title if name in DATASETS else name


def __getattr__(name: str) -> Any:
    """What is heavy, when it is first asked for: `mmkd data list` needs none of it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = {"LAYOUTS": "layouts", "canonical_name": "places", "controlled": "controls"}.get(name, "loading")
    globals()[name] = value = getattr(import_module(f"{__name__}.{module}"), name)
    return value
