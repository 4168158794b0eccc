"""One file of a listing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of the listing; `attributes` is its label, then its carried columns."""

    path: str
    size: int | None
    version: str
    attributes: tuple[Any, ...] = (None,)
