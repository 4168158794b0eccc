"""Audio formats by file extension: which are read, and their rough durations and costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

#: Extensions of the files in a folder that are read; one that cannot be decoded gets an error row.
#: Recordings often come in mp4, 3gp, 3g2, webm and asf, so these are read, though some are videos.
#: Not so mkv, ogv, mov and avi: these are nearly always videos, so they would add errors or
#: unexpected sound tracks. Files in aax and m4p are encrypted. Raw samples do not tell their rate.
AUDIO_EXTENSIONS = frozenset(
    {
        "3g2",
        "3ga",
        "3gp",
        "aa3",
        "aac",
        "ac3",
        "adts",
        "adx",
        "aif",
        "aifc",
        "aiff",
        "amr",
        "ape",
        "asf",
        "at3",
        "au",
        "awb",
        "bwf",
        "caf",
        "dff",
        "dsf",
        "dss",
        "dts",
        "dtshd",
        "eac3",
        "ec3",
        "f4a",
        "flac",
        "gsm",
        "m1a",
        "m2a",
        "m4a",
        "m4b",
        "m4r",
        "mka",
        "mlp",
        "mp1",
        "mp2",
        "mp3",
        "mp4",
        "mpa",
        "mpc",
        "mpga",
        "oga",
        "ogg",
        "oma",
        "opus",
        "qcp",
        "ra",
        "rf64",
        "shn",
        "snd",
        "sph",
        "spx",
        "tak",
        "thd",
        "tta",
        "voc",
        "w64",
        "wav",
        "wave",
        "wave64",
        "webm",
        "wma",
        "wv",
    }
)

_BYTES_A_SECOND = {"wav": 1e5, "aif": 1e5, "aiff": 1e5, "au": 1e5, "flac": 6e4}
_BYTES_A_SECOND_LOSSY = 1.6e4
_SECONDS_A_FILE = 0.0008
_SECONDS_A_BYTE = {"wav": 5e-9, "aif": 5e-9, "aiff": 5e-9, "au": 5e-9, "flac": 1.3e-8}
_SECONDS_A_BYTE_LOSSY = 5e-8


def format_of(path: str) -> str:
    """Return the audio extension of a path; empty if it has none."""
    name = path.rpartition("/")[2].partition("?")[0]
    extension = name.rpartition(".")[2].lower()
    return extension if extension in AUDIO_EXTENSIONS else ""


def guessed_seconds(path: str, size: int | None) -> float:
    """Return the rough cost of a file [s]: a constant, and a cost per byte of its format."""
    per_byte = _SECONDS_A_BYTE.get(format_of(path), _SECONDS_A_BYTE_LOSSY)
    return _SECONDS_A_FILE + (size or 0) * per_byte


def guessed_durations(paths: pa.ChunkedArray, sizes: pa.ChunkedArray) -> np.ndarray:
    """Return the rough duration of each file [s], estimated from its size and format."""
    return _sizes(sizes) / _by_format(paths, _BYTES_A_SECOND, _BYTES_A_SECOND_LOSSY)


def guessed_costs(paths: pa.ChunkedArray, sizes: pa.ChunkedArray) -> np.ndarray:
    """Return `guessed_seconds` of each file [s]."""
    per_byte = _by_format(paths, _SECONDS_A_BYTE, _SECONDS_A_BYTE_LOSSY)
    return _SECONDS_A_FILE + _sizes(sizes) * per_byte


def has_audio_extension(paths: pa.Array) -> pa.BooleanArray:
    """Return for each path whether it ends in a dot and one of `AUDIO_EXTENSIONS`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    last = extensions_of(paths)
    is_audio = pa.array([t.lower() in AUDIO_EXTENSIONS for t in last.dictionary.to_pylist()])
    n_bytes = pc.binary_length(last.dictionary).take(last.indices)
    has_dot = pc.less(n_bytes, pc.binary_length(paths))
    return pc.and_(is_audio.cast(pa.bool_()).take(last.indices), has_dot)


def extensions_of(paths: pa.Array | pa.ChunkedArray) -> pa.DictionaryArray:
    """Return what follows the last dot of each path, or the whole path if it has no dot."""
    import pyarrow as pa
    import pyarrow.compute as pc

    paths = paths.combine_chunks() if isinstance(paths, pa.ChunkedArray) else paths
    if not len(paths):
        return paths.dictionary_encode()
    pieces = pc.split_pattern(paths, ".", max_splits=1, reverse=True)
    last = pc.subtract(pieces.offsets[1:], 1)
    return pieces.values.take(last).dictionary_encode()


def _by_format(paths: pa.ChunkedArray, values: Mapping[str, float], otherwise: float) -> np.ndarray:
    import numpy as np
    import pyarrow.compute as pc

    if pc.any(pc.match_substring(paths, "?")).as_py():  # URLs with a query
        return np.array([values.get(format_of(path), otherwise) for path in paths.to_pylist()])
    extensions = extensions_of(paths)
    of_extension = [
        values.get(format_of(text), otherwise) for text in extensions.dictionary.to_pylist()
    ]
    return np.array(of_extension, float)[extensions.indices.to_numpy()]


def _sizes(sizes: pa.ChunkedArray) -> np.ndarray:
    import pyarrow.compute as pc

    return pc.fill_null(sizes, 0).to_numpy()
