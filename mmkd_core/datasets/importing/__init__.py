"""From a raw log of who chose what, or splits that others made, to a folder that `load` reads: `mmkd import`."""

from mmkd_core.datasets.importing.card import Card
from mmkd_core.datasets.importing.folder import import_log
from mmkd_core.datasets.importing.ready import import_folder

__all__ = ["Card", "import_folder", "import_log"]
