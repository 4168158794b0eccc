"""dr_flac: the samples of libsndfile, and nothing of a file that is damaged."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from featurelib.audio import drflac, flac, layout
from featurelib.errors import AudioError
from tests.featurelib.support.listening import listen

SR = 44_100


def encoded(n: int, channels: int = 2, subtype: str = "PCM_16", seed: int = 0) -> bytes:
    rng = np.random.default_rng(seed)
    y = 0.3 * np.sin(np.arange(n)[:, None] / 20) + 0.05 * rng.standard_normal((n, channels))
    y[n // 2 : n // 2 + 5_000] = 0
    file = io.BytesIO()
    soundfile.write(file, y, SR, format="FLAC", subtype=subtype)
    return file.getvalue()


def frame_places(data: bytes) -> list[int]:
    """Offsets of all frames, and the end of the file."""
    read_at = lambda place, n: data[place : place + n]  # noqa: E731
    info = flac.stream_info(read_at, 0, len(data))
    assert info is not None
    found = (flac._header(data, m.start(), 0, info) for m in flac._SYNC.finditer(data, info.audio))
    return [header.place for header in found if header and header.fits(info)] + [len(data)]


@pytest.mark.parametrize("subtype", ["PCM_S8", "PCM_16", "PCM_24"])
@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("n", [1, 4_096, 100_000])
def test_samples_are_those_of_libsndfile(tmp_path, subtype, channels, n):
    data = encoded(n, channels, subtype)
    path = tmp_path / "a.flac"
    path.write_bytes(data)
    expected, _ = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    for source in (data, path, io.BytesIO(data)):
        heard = listen(source)
        assert heard.facts.decoder == "dr_flac"
        assert (heard.facts.decoding, heard.facts.subtype) == ("whole", subtype)
        assert heard.facts.header_duration_s == n / SR
        np.testing.assert_array_equal(heard.samples, expected)


def test_libsndfile_decodes_the_first_part_of_a_file():
    # If only a part is decoded, dr_flac cannot show that no frame is missing.
    data = encoded(100_000)
    part = listen(data, duration=1.0)
    assert part.facts.decoder == "libsndfile"
    np.testing.assert_array_equal(part.samples, listen(data).samples[:SR])
    assert listen(data, duration=100_000 / SR + 1).facts.decoder == "dr_flac"


def test_libsndfile_decodes_large_files(monkeypatch):
    data = encoded(20_000)
    monkeypatch.setattr(drflac, "MAX_BYTES", len(data))
    assert listen(data).facts.decoder == "dr_flac"
    monkeypatch.setattr(drflac, "MAX_BYTES", len(data) - 1)
    assert listen(data).facts.decoder == "libsndfile"


ONE, OTHER = encoded(40_000), encoded(30_000, seed=1)
PLACES = frame_places(ONE)


@st.composite
def damaged(draw):
    """Return a file with a damaged, missing, repeated or exchanged part, or a file behind it."""
    data = bytearray(ONE)
    begin = draw(st.integers(PLACES[0], len(data) - 1))
    length = draw(st.integers(1, 20_000))
    frame = draw(st.integers(0, len(PLACES) - 2))
    one_frame = slice(PLACES[frame], PLACES[frame + 1])
    kind = draw(st.sampled_from(["flip", "cut", "lack", "zeros", "drop", "twice", "exchange"]))
    if kind == "flip":
        data[begin] ^= draw(st.integers(1, 255))
    elif kind == "cut":
        del data[begin:]
    elif kind == "lack":
        del data[begin : begin + length]
    elif kind == "zeros":
        data[begin : begin + length] = bytes(len(data[begin : begin + length]))
    elif kind == "drop":
        del data[one_frame]
    elif kind == "twice":
        data[one_frame] = 2 * data[one_frame]
    else:
        data[one_frame] = ONE[PLACES[0] : PLACES[1]]
    return bytes(data) + draw(st.sampled_from([b"", OTHER, ONE[PLACES[-2] :]]))


@settings(max_examples=60, deadline=None)
@given(damaged())
def test_damage_is_found_as_without_dr_flac(data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout.FlacStream, "is_regular", False)
        expected = heard_or_error(data)
    found = heard_or_error(data)
    if isinstance(expected, str):
        assert found == expected
        return
    assert found.facts.decoding == expected.facts.decoding
    assert found.facts.n_streams == expected.facts.n_streams
    assert len(found.signals) == len(expected.signals)
    for (sr, y), (expected_sr, expected_y) in zip(found.signals, expected.signals, strict=True):
        assert sr == expected_sr
        np.testing.assert_array_equal(y, expected_y)


def heard_or_error(data: bytes):
    try:
        return listen(data)
    except AudioError as error:
        return error.kind


def test_a_missing_frame_is_not_replaced_by_one_of_the_next_file():
    data = ONE[: PLACES[2]] + ONE[PLACES[3] :] + ONE
    heard = listen(data)
    assert heard.facts.decoding == "damaged"
    assert heard.facts.decoder != "dr_flac"
