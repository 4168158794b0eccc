"""One file of a listing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Item:
    """A file of the listing; `facts` is its label, then its carried columns."""

    path: str
    size: int | None
    version: str
    facts: tuple[Any, ...] = (None,)
