"""From a raw log of who chose what, or splits that others made, to a folder that `load` reads: `mmkd import`."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmkd_core.datasets.importing.card import Card
    from mmkd_core.datasets.importing.folder import import_log
    from mmkd_core.datasets.importing.ready import import_folder

__all__ = ["Card", "import_folder", "import_log"]
_HOMES = {"Card": "card", "import_folder": "ready", "import_log": "folder"}


def __getattr__(name: str) -> Any:
    """What makes a folder, when it is first asked for: reading a log alone needs no torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
