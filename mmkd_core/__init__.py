"""MMKD for multi-modal recommendation: models, losses, data, training and evaluation, small enough to read."""

from mmkd_core.data import DataError, Dataset, Embeddings

__version__ = "0.1.0"
__all__ = ["DataError", "Dataset", "Embeddings"]
