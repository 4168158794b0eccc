"""Any number of damaged audio files, made from their numbers, and a process that extracts them.

    python -m tests.featurelib.support.mutants FOLDER

reads one number per line from standard input and answers with one line of JSON: the outcomes
of the mutant for all kinds of sources. FOLDER holds the undamaged files (`write_originals`).
"""

from __future__ import annotations

import dataclasses
import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np

from featurelib import AudioError, extract_columns, spec_from_settings
from tests.featurelib.support.encoders import FORMATS, made, rate_of
from tests.featurelib.support.signals import noise, sine
from tests.support.memory import peak_bytes

SPEC = spec_from_settings(
    {"features": ["rms", "zero_crossing_rate"], "defaults": {"statistics": ["mean"]}}
)
SHORT_SPEC = dataclasses.replace(SPEC, duration=0.1)

#: First bytes of chunks, pages, atoms, packets and frames.
_BORDER = re.compile(
    rb"[A-Za-z][A-Za-z0-9]{2}[A-Za-z0-9 ]|\xff[\xe2-\xff]|\x0b\x77|\x1f\x43\xb6\x75|\xa3", re.DOTALL
)
_HEADER_BYTES = 200


def write_originals(folder: Path) -> None:
    """Write two files per format: mono of 0.33 s and stereo of 0.66 s."""
    for name in FORMATS:
        sr = rate_of(name)
        mono = sine(0.33, sr=sr) + noise(0.33, sr=sr)
        stereo = np.stack([sine(0.66, sr=sr), noise(0.66, sr=sr)], axis=1)
        (folder / f"{name}.mono").write_bytes(made(name, mono))
        (folder / f"{name}.stereo").write_bytes(made(name, stereo))


def _place(rng: np.random.Generator, data: bytearray) -> int:
    """A random index in the header, at a border, or anywhere."""
    which = rng.random()
    if which < 0.4:
        return int(rng.integers(min(len(data), _HEADER_BYTES)))
    borders = [match.start() for match in _BORDER.finditer(data)] if which < 0.8 else []
    return int(rng.choice(borders)) if borders else int(rng.integers(len(data)))


def _span(rng: np.random.Generator, data: bytearray) -> slice:
    begin = _place(rng, data)
    return slice(begin, begin + int(2 ** rng.uniform(0, 12)))


def change_bytes(rng: np.random.Generator, data: bytearray) -> None:
    for _ in range(rng.integers(1, 8)):
        data[_place(rng, data)] = rng.choice([0, 1, 0x7F, 0x80, 255, rng.integers(256)])


def change_length(rng: np.random.Generator, data: bytearray) -> None:
    """Change a number near a border: zero, all ones, one more, one less, or huge."""
    tags = [match.start() for match in _BORDER.finditer(data)]
    width = int(rng.choice([1, 2, 3, 4, 8]))
    place = int(rng.choice(tags)) + int(rng.choice([4, 4, -4, 8, 12])) if tags else 4
    place = min(max(place, 0), len(data) - width)
    order = "little" if rng.random() < 0.5 else "big"
    value = int.from_bytes(data[place : place + width], order)
    largest = 256**width - 1
    other = rng.choice(6)
    changed = (0, largest, value + 1, value - 1, largest // 2, largest - 7)[other]
    data[place : place + width] = (changed % (largest + 1)).to_bytes(width, order)


def insert(rng: np.random.Generator, data: bytearray) -> None:
    place = _place(rng, data)
    n = int(2 ** rng.uniform(0, 13))
    data[place:place] = bytes(n) if rng.random() < 0.5 else rng.bytes(n)


def drop(rng: np.random.Generator, data: bytearray) -> None:
    del data[_span(rng, data)]


def duplicate(rng: np.random.Generator, data: bytearray) -> None:
    span = _span(rng, data)
    stretch = data[span]
    data[span] = stretch * int(rng.integers(2, 5))


def swap(rng: np.random.Generator, data: bytearray) -> None:
    a, b = _span(rng, data), _span(rng, data)
    data[a], data[b] = data[b], data[a]


def overwrite(rng: np.random.Generator, data: bytearray) -> None:
    span = _span(rng, data)
    n = len(data[span])
    data[span] = bytes(n) if rng.random() < 0.3 else rng.bytes(n)


def truncate(rng: np.random.Generator, data: bytearray) -> None:
    del data[int(rng.integers(1, len(data))) :]


def prefix(rng: np.random.Generator, data: bytearray) -> None:
    n = int(2 ** rng.uniform(0, 15))
    tag = b"ID3\4\0\0" + bytes([0, 0, n >> 7 & 127, n & 127])
    data[0:0] = (bytes(n), rng.bytes(n), tag + bytes(n & 0x3FFF))[rng.integers(3)]


def trailer(rng: np.random.Generator, data: bytearray) -> None:
    n = int(2 ** rng.uniform(0, 15))
    data += (bytes(n), rng.bytes(n), b"TAG" + bytes(125))[rng.integers(3)]


MUTATIONS: tuple[Callable[[np.random.Generator, bytearray], None], ...] = (
    *(change_bytes, change_length, insert, drop, duplicate, swap, overwrite),
    *(truncate, prefix, trailer),
)


class Mutants:
    """Damaged files, made from the originals in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _original(self, rng: np.random.Generator, name: str) -> bytes:
        channels = "mono" if rng.random() < 0.5 else "stereo"
        return (self.folder / f"{name}.{channels}").read_bytes()

    def made(self, number: int) -> tuple[str, bytes]:
        """Description of a mutant, and its bytes."""
        rng = np.random.default_rng([17, number])
        name = FORMATS[number % len(FORMATS)]
        data = bytearray(self._original(rng, name))
        done = [name]
        if rng.random() < 0.1:
            other = str(rng.choice(FORMATS))
            data += self._original(rng, other)
            done.append(f"+{other}")
        for _ in range(rng.choice([1, 1, 2, 3])):
            mutation = MUTATIONS[rng.integers(len(MUTATIONS))]
            mutation(rng, data)
            done.append(mutation.__name__)
            if not data:
                break
        return " ".join(done), bytes(data)


def outcome(source: Any, spec: Any) -> dict[str, Any]:
    """The row, or kind and message of the error."""
    try:
        columns = extract_columns(source, spec)
    except AudioError as error:
        return {"error": error.kind, "message": str(error)}
    return {name: values[0] for name, values in columns.items()}


def outcomes(data: bytes, path: Path, number: int) -> dict[str, dict[str, Any]]:
    """Outcomes of the same bytes from all kinds of sources, whole and in part."""
    path.write_bytes(data)
    found = {"bytes": outcome(data, SPEC), "path": outcome(path, SPEC)}
    if number % 5 == 0:
        fsspec.filesystem("memory").pipe_file("/mutants/mutant", data)
        found["BytesIO"] = outcome(io.BytesIO(data), SPEC)
        found["memory://"] = outcome("memory://mutants/mutant", SPEC)
    if number % 3 == 0:
        found["bytes, 0.1 s"] = outcome(data, SHORT_SPEC)
        found["path, 0.1 s"] = outcome(path, SHORT_SPEC)
    return found


def main() -> None:
    folder = Path(sys.argv[1])
    mutants = Mutants(folder)
    path = folder / f"mutant-{sys.argv[2]}"
    for line in sys.stdin:
        _, data = mutants.made(int(line))
        found = outcomes(data, path, int(line))
        peak_mb = peak_bytes() // 2**20
        print(json.dumps({"outcomes": found, "peak_mb": peak_mb}), flush=True)


if __name__ == "__main__":
    main()
