"""The words, phrases, colours and instruments of the demo, as `demo.toml` has them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

VOCABULARY: dict[str, Any] = tomllib.loads(Path(__file__).with_name("demo.toml").read_text(encoding="utf-8"))
GENRES: tuple[str, ...] = tuple(VOCABULARY["genres"])
