"""Damaged files whose decoded samples are recorded, with the decoders' versions.

    python -m tests.featurelib.support.goldens

records the output of the installed decoders for `test_goldens`. Check the changes before you
commit a new record. If values changed, increment `Signal.version` in `featurelib/graph.py`.

The files in `data/` were encoded once from a synthetic signal and must not change: another
version of an encoder writes other bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import miniaudio
import soundfile

from featurelib import AudioError, extract_columns, spec_from_settings

FOLDER = Path(__file__).parents[1] / "data"
RECORD = FOLDER / "goldens.json"
NAMES = sorted(path.stem for path in FOLDER.glob("*.audio"))

#: Formats whose samples are compared. CPUs may round others differently, so those have measures.
EXACT = frozenset(("caf_alac", "flac", "m4a_alac", "mka_flac", "tta", "wav_ima", "wavpack"))

_SPEC = spec_from_settings({"features": ["rms"], "defaults": {"statistics": ["mean"]}})
_COLUMNS = ("duration_s", "decoder", "decoding", "lost_s", "n_streams", "sample_rate_hz")
_MEASURES = ("peak", "rms_mean")


def _with_a_hole(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes(300) + data[middle + 300 :]


def _without_a_stretch(data: bytes) -> bytes:
    return data[: len(data) // 2] + data[len(data) // 2 + 777 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "whole": lambda data: data,
    "cut": lambda data: data[: len(data) * 2 // 3],
    "with a hole": _with_a_hole,
    "without a stretch": _without_a_stretch,
    "with a flipped bit": lambda data: (
        data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 16]) + data[len(data) // 2 + 1 :]
    ),
    "twice": lambda data: data + data,
    "behind junk": lambda data: b"junk" * 250 + data,
}


def versions() -> dict[str, str]:
    """Versions of the installed decoders."""
    return {
        "av": av.__version__,
        "libsndfile": soundfile.__libsndfile_version__,
        "miniaudio": miniaudio.__version__,
    }


def outcome(name: str, damage: str) -> dict[str, Any]:
    """Recorded part of the outcome of a file."""
    data = DAMAGES[damage]((FOLDER / f"{name}.audio").read_bytes())
    try:
        columns = extract_columns(data, _SPEC)
    except AudioError as error:
        return {"error": error.kind}
    row = {key: columns[key][0] for key in _COLUMNS}
    kept = ("audio_hash",) if name in EXACT else _MEASURES
    return row | {key: columns[key][0] for key in kept}


def record() -> None:
    found = {name: {damage: outcome(name, damage) for damage in DAMAGES} for name in NAMES}
    RECORD.write_text(json.dumps({"decoders": versions(), "files": found}, indent=1) + "\n")


if __name__ == "__main__":
    record()
