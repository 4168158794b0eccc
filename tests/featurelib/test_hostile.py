"""Files that are made to be slow, to need memory, or to be decoded without end."""

from __future__ import annotations

import pytest

from featurelib import AudioError
from featurelib.audio import MoreAudioError, flac, open_audio
from tests.featurelib.encoders import made
from tests.featurelib.signals import noise
from tests.featurelib.test_audio import row


def with_total(data: bytes, n_samples: int) -> bytes:
    """A FLAC file whose header claims another number of samples."""
    place = flac.total_place(0)
    return data[:place] + flac.with_total(n_samples, data[place : place + 5]) + data[place + 5 :]


def n_passes(data: bytes) -> int:
    """How often the file is decoded until all of it is."""
    with open_audio(data) as file:
        for n in range(1, 100):
            try:
                for _ in file.blocks():
                    pass
            except MoreAudioError:
                continue
            return n
    pytest.fail("decoded 99 times")


def test_joined_flac_files_with_wrong_totals_are_decoded_once_more():
    seconds = 0.3
    whole = made("flac", noise(seconds, sr=44_100))
    short = with_total(whole, 1000)
    for parts in ([whole, short], [short, whole, short, short], [whole, *[short] * 20]):
        data = b"".join(parts)
        facts = row(data)
        assert facts["n_streams"] == len(parts)
        assert facts["duration_s"] == pytest.approx(len(parts) * seconds)
        assert facts["decoding"] == "whole"
        assert n_passes(data) == 2


def test_places_that_no_file_system_has_are_the_contents_fault(tmp_path):
    data = bytearray(made("wma", noise(0.5, sr=44_100)))
    data[30 + 16 : 30 + 24] = (2**62 + 2**61).to_bytes(8, "little")  # size of the first object
    path = tmp_path / "a.wma"
    path.write_bytes(data)
    messages = set()
    for source in (bytes(data), path, f"file://{path}"):
        with pytest.raises(AudioError) as caught:
            row(source)
        messages.add(str(caught.value))
    assert len(messages) == 1
