"""From a raw log of who chose what to a folder that `load` reads: `import_log`, the command `mmkd import`."""

from mmkd_core.datasets.importing.card import Card
from mmkd_core.datasets.importing.folder import import_log

__all__ = ["Card", "import_log"]
