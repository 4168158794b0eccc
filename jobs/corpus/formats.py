"""Audio formats by file extension: which are read, and their rough durations and costs."""

from __future__ import annotations

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


def guessed_duration(path: str, size: int | None) -> float:
    """Return the rough duration of a file [s], estimated from its size and format."""
    return max(0, size or 0) / _BYTES_A_SECOND.get(format_of(path), _BYTES_A_SECOND_LOSSY)


def guessed_seconds(path: str, size: int | None) -> float:
    """Return the rough cost of a file [s]: a constant, and a cost per byte of its format."""
    per_byte = _SECONDS_A_BYTE.get(format_of(path), _SECONDS_A_BYTE_LOSSY)
    return _SECONDS_A_FILE + (size or 0) * per_byte
