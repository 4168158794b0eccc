"""Names of files, and other lines of text, within the width of a picture."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

#: Font that matplotlib brings, so that every machine draws the same.
FONT = "DejaVu Sans"

#: Characters between parts of a line.
SEPARATOR = " · "

#: Most characters of a name; no picture is wide enough for more.
_MOST = 1000


def shown(name: str, points: float, size: float) -> str:
    """Return a name as one line of text that the font can show.

    Control characters, and others that the font lacks, are escaped. A name that is too long
    loses its middle.

    Parameters
    ----------
    name : str
        Name of a file, or other untrusted text.
    points : float
        Width that there is [pt].
    size : float
        Size of the font [pt].
    """
    glyphs = _font().get_charmap()
    if len(name) > _MOST:  # bounds the work
        name = f"{name[: _MOST // 2]}…{name[-_MOST // 2 :]}"
    parts = [c if c.isprintable() and ord(c) in glyphs else _escape(c) for c in name]
    if width_of("".join(parts), size) <= points:
        return "".join(parts)
    first, last = 0, len(parts) // 2  # of the characters kept at each end
    while first < last:
        n = (first + last + 1) // 2
        if width_of(_without_middle(parts, n), size) <= points:
            first = n
        else:
            last = n - 1
    return _without_middle(parts, first)


def _without_middle(parts: list[str], n: int) -> str:
    return "".join([*parts[:n], "…", *parts[len(parts) - n :]])


def _escape(c: str) -> str:
    return c.encode("unicode_escape").decode("ascii")


def joined(parts: Iterable[str], points: float, size: float) -> list[str]:
    """Return parts as lines, with as many parts in each as fit."""
    lines: list[str] = []
    for part in parts:
        if lines and width_of(lines[-1] + SEPARATOR + part, size) <= points:
            lines[-1] += SEPARATOR + part
        else:
            lines.append(part)
    return lines


def width_of(text: str, size: float) -> float:
    """Return the width of text [pt], whose characters are in the font."""
    font = _font()
    font.set_size(size, 72)
    font.set_text(text)
    return font.get_width_height()[0] / 64


@lru_cache(maxsize=1)
def _font() -> Any:
    from matplotlib.font_manager import findfont
    from matplotlib.ft2font import FT2Font

    return FT2Font(str(findfont(FONT)))
