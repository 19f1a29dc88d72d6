"""An experiment is a frozen value; its record is a file named by the hash of that value and of its data."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from mmkd_core import settings
from mmkd_core.cost import environment, measured, parameters
from mmkd_core.data import DataError, Dataset
from mmkd_core.datasets import address, checked_options, load
