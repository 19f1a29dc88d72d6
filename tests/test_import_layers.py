"""Imports inside mmkd_core go one way: a module may import only from the rows above its own."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "mmkd_core"
LAYERS = [
    {"settings", "files"},
    {"data", "sparse"},
