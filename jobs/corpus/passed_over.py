"""Count and describe the files passed over by a listing, by reason and extension."""

from __future__ import annotations

import posixpath
from collections import Counter

#: Reason for passing over files without an audio extension.
NOT_AUDIO = "not audio"

_NO_EXTENSION = "without extension"
_OTHER = "others"
_LONGEST = 12
_COUNTED = 1000
_SHOWN = 5


def count_extension(counts: Counter[str], path: str) -> None:
    """Count a file by its extension.

    Names are untrusted: every file may have a different extension, of any length.
    """
    extension = posixpath.splitext(path)[1].lower() or _NO_EXTENSION
    fits = extension == _NO_EXTENSION or (len(extension) <= _LONGEST and extension.isprintable())
    if not fits or (extension not in counts and len(counts) >= _COUNTED):
        extension = _OTHER
    counts[extension] += 1


def by_extension(counts: Counter[str]) -> str:
    """Return text with the number of files per extension, the largest number first."""
    # equal numbers by extension, so that the text does not depend on the order of the listing
    ranked = sorted(counts.items(), key=lambda item: (item[0] == _OTHER, -item[1], item[0]))
    shown = [item for item in ranked[:_SHOWN] if item[0] != _OTHER]
    texts = [f"{n} {extension}" for extension, n in shown]
    if rest := counts.total() - sum(n for _, n in shown):
        texts.append(f"{rest} {_OTHER}")
    return ", ".join(texts)


def by_reason(passed_over: Counter[str], not_audio: Counter[str]) -> str:
    """Return text with the number of files passed over, by extension or reason."""
    texts = [by_extension(not_audio)] if not_audio else []
    texts += [f"{n} {why}" for why, n in sorted(passed_over.items()) if n and why != NOT_AUDIO]
    return ", ".join(texts)
