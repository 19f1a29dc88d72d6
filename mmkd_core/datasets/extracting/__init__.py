"""From the pictures, texts and sounds of items to the features of a data folder: `mmkd features`."""

from mmkd_core.datasets.extracting.card import Made
from mmkd_core.datasets.extracting.folder import Extracted, extract_features

__all__ = ["Extracted", "Made", "extract_features"]
