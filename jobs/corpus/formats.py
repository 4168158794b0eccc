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


def cost_class(path: str, size: int | None) -> str:
    """Return the format and the order of magnitude of a file, such as ``mp3:11``.

    Costs of files of one class are proportional to `guessed_seconds`. Sizes in a class differ by
    a factor of at most 4.
    """
    return f"{format_of(path)}:{(size or 0).bit_length() // 2}"


def costs_by_class(paths: pa.ChunkedArray, sizes: pa.ChunkedArray) -> dict[str, float]:
    """Return the sum of `guessed_seconds` of the files of each `cost_class` [s]."""
    import numpy as np

    exponents = np.frexp(_sizes(sizes).astype(float))[1] // 2
    formats, indices = _formats(paths)
    n_sizes = 64
    costs = np.bincount(
        indices * n_sizes + exponents,
        weights=guessed_costs(paths, sizes),
        minlength=len(formats) * n_sizes,
    )
    found: dict[str, float] = {}
    for index in np.flatnonzero(costs):
        name = f"{formats[index // n_sizes]}:{index % n_sizes}"
        found[name] = found.get(name, 0.0) + float(costs[index])
    return found


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

    formats, indices = _formats(paths)
    return np.array([values.get(name, otherwise) for name in formats], float)[indices]


def _formats(paths: pa.ChunkedArray) -> tuple[list[str], np.ndarray]:
    """Return formats, and the index of each path's; a format may be there more than once."""
    import numpy as np
    import pyarrow.compute as pc

    if pc.any(pc.match_substring(paths, "?")).as_py():  # URLs with a query
        return [format_of(path) for path in paths.to_pylist()], np.arange(len(paths))
    extensions = extensions_of(paths)
    formats = [format_of(text) for text in extensions.dictionary.to_pylist()]
    return formats, extensions.indices.to_numpy()


def _sizes(sizes: pa.ChunkedArray) -> np.ndarray:
    import pyarrow.compute as pc

    return pc.fill_null(sizes, 0).to_numpy()
