"""MMKD for multi-modal recommendation: models, losses, data, training and evaluation, small enough to read."""

from mmkd_core.data import Batch, DataError, Dataset, Embeddings
from mmkd_core.datasets import load
from mmkd_core.evaluation import evaluate, rank
from mmkd_core.experiment import Experiment, Record, plan, run
from mmkd_core.models import MODELS
from mmkd_core.training import FitConfig, History, fit

__version__ = "0.1.0"
__all__ = [
    "MODELS",
    "Batch",
    "DataError",
    "Dataset",
    "Embeddings",
    "Experiment",
    "FitConfig",
    "History",
    "Record",
    "evaluate",
    "fit",
    "load",
    "plan",
    "rank",
    "run",
]
