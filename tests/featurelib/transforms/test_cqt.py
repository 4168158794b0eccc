"""The constant-Q transform against librosa's."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featurelib import AudioError, SpecError, extract_signal_columns
from featurelib import spec_from_settings as spec_of
from featurelib.graph import Analysis, Block, Node, Operator, Plan
from featurelib.transforms import cqt
from featurelib.transforms.cqt import CQT
from tests.featurelib.support import oracle
from tests.featurelib.support.signals import SR, chord, noise


class Recorder(Node):
    """A node that keeps what another one computes."""

    def __init__(self, of: Node) -> None:
        object.__setattr__(self, "of", of)

    def inputs(self) -> tuple[Node, ...]:
        return (self.of,)  # type: ignore[attr-defined]

    def operator(self, sr: int) -> Operator:
        return Kept()


class Kept(Operator):
    def __init__(self) -> None:
        self.blocks: list[np.ndarray] = []

    def push(self, block: Block, port: int) -> Iterable[Block]:
        assert len(block.x) == block.n_frames
        self.blocks.append(block.x.copy())
        return ()


def transformed(node: CQT, y: np.ndarray, sr: int, cuts: Iterable[int] = ()) -> np.ndarray:
    """Transform of a signal in pieces, shape (frames, bins)."""
    sink = Recorder(node)
    plan = Plan([sink], sr)
    analysis = Analysis(plan)
    for start, stop in itertools.pairwise([0, *sorted(cuts), len(y)]):
        analysis.push(y[start:stop].copy())
    analysis.finish()
    C = np.concatenate(analysis.operators[plan.index[sink]].blocks)
    assert analysis.operators[plan.index[node]].n_frames == len(C)
    return C


def assert_librosas(node: CQT, y: np.ndarray, sr: int) -> None:
    expected = oracle.cqt(y, sr, node).T
    found = transformed(node, y, sr)
    assert found.shape == expected.shape
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * expected.max())


def music(sr: int, seconds: float = 1.5) -> np.ndarray:
    return chord(seconds, sr=sr, detune=0.23) + noise(seconds, sr=sr, level=0.003)


@pytest.mark.parametrize("pad_mode", ["constant", "reflect", "edge"])
@pytest.mark.parametrize("sr", [8_500, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_magnitudes_equal_librosas(sr: int, pad_mode: str) -> None:
    assert_librosas(CQT(pad_mode=pad_mode), music(sr), sr)


@pytest.mark.parametrize(
    "parameters",
    [
        {"hop_length": 256},
        {"hop_length": 1024},
        {"hop_length": 500},  # two octaves halve the rate
        {"hop_length": 511},  # no octave does
        {"bins_per_octave": 36},
        {"n_octaves": 1},
        {"n_octaves": 8},
    ],
    ids=str,
)
def test_other_parameters_equal_librosas(parameters: dict[str, int]) -> None:
    assert_librosas(CQT(**parameters), music(SR), SR)


@pytest.mark.parametrize("sr", [16_000, 44_100])
@pytest.mark.parametrize("pad_mode", ["constant", "reflect"])
@pytest.mark.parametrize("n", [10, 300, 511, 512, 513, 1023, 1024, 1025, 2048, 5120])
@pytest.mark.filterwarnings("ignore:n_fft=")
def test_lengths_around_frames_equal_librosas(n: int, pad_mode: str, sr: int) -> None:
    assert_librosas(CQT(pad_mode=pad_mode), noise(1.0, sr=sr, seed=n)[:n], sr)


@pytest.mark.parametrize(
    ("n", "sr"),
    [(1, 16_000), (3, 16_000), *((n, SR) for n in (1, 2, 3, 4)), (5, 44_100), (9, 96_000)],
)
@pytest.mark.parametrize("pad_mode", ["constant", "reflect", "edge"])
@pytest.mark.filterwarnings("ignore:n_fft=")
def test_no_rounding_errors_where_librosa_has_zeros(n: int, sr: int, pad_mode: str) -> None:
    """A few samples, mirrored, are tones that no filter passes. Chroma is relative."""
    node, y = CQT(pad_mode=pad_mode), noise(1.0, sr=sr, seed=n)[:n]
    found, expected = transformed(node, y, sr), oracle.cqt(y, sr, node).T
    assert found.shape == expected.shape
    assert (expected > 0).any() or not found.any()
    np.testing.assert_allclose(found, expected, rtol=0, atol=4e-6 * expected.max())


@pytest.mark.parametrize("sr", [11_025, SR])
@pytest.mark.filterwarnings("ignore:n_fft=")
def test_a_few_constant_samples_are_zero_as_in_librosa(sr: int) -> None:
    node, y = CQT(pad_mode="reflect"), np.full(4, -1, np.float32)
    assert not oracle.cqt(y, sr, node).any()
    assert not transformed(node, y, sr).any()


@settings(max_examples=15, deadline=None)
@given(
    n=st.integers(4, 60_000),
    cuts=st.lists(st.floats(0, 1), max_size=5),
    hop_length=st.sampled_from([100, 512, 511]),
    pad_mode=st.sampled_from(["constant", "reflect"]),
    in_pieces=st.booleans(),
    sr=st.sampled_from([SR, 96_000]),
)
def test_pieces_change_nothing(
    n: int, cuts: list[float], hop_length: int, pad_mode: str, in_pieces: bool, sr: int
) -> None:
    y = music(sr, 3.0)[:n]
    node = CQT(hop_length=hop_length, pad_mode=pad_mode)
    whole = transformed(node, y, sr)
    with pytest.MonkeyPatch.context() as patch:
        if in_pieces:  # as for a signal that does not fit into memory
            patch.setattr(cqt, "_WHOLE_BYTES", 10_000)
        found = transformed(node, y, sr, [round(cut * n) for cut in cuts])
    np.testing.assert_array_equal(found, whole)


def test_pieces_of_a_constant_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    y, node = np.full(3 * SR, 0.25, np.float32), CQT(pad_mode="reflect")
    whole = transformed(node, y, SR)
    monkeypatch.setattr(cqt, "_WHOLE_BYTES", 10_000)
    np.testing.assert_array_equal(transformed(node, y, SR), whole)


def test_a_long_signal_is_transformed_in_blocks_of_bounded_length(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cqt, "_WHOLE_BYTES", 100_000)
    sink = Recorder(CQT())
    plan = Plan([sink], SR)
    analysis = Analysis(plan)
    for seed in range(60):
        analysis.push(noise(1.0, seed=seed))
    analysis.finish()
    blocks = analysis.operators[plan.index[sink]].blocks
    assert sum(map(len, blocks)) == 1 + 60 * SR // 512
    assert max(map(len, blocks)) < 600


@pytest.mark.parametrize(("sr", "octaves"), [(8_000, 7), (8_481, 7), (4_000, 6)])
def test_rates_without_room_for_the_highest_bin_are_refused(sr: int, octaves: int) -> None:
    with pytest.raises(SpecError, match=rf"n_octaves={octaves} .* half of sr={sr}: use fewer"):
        CQT(n_octaves=octaves).check(sr)
    CQT(n_octaves=octaves - 1).check(sr)


def test_librosa_refuses_such_a_rate_as_well() -> None:
    with pytest.raises(librosa.ParameterError, match="Nyquist"):
        oracle.cqt(noise(1.0, sr=8_000), 8_000, CQT())


def test_a_file_of_such_a_rate_is_unsuitable() -> None:
    spec = spec_of({"sr": "native", "features": ["chroma_cqt"]})
    with pytest.raises(AudioError, match="at its own rate of 8000 Hz: n_octaves=7") as caught:
        extract_signal_columns(noise(1.0, sr=8_000), 8_000, spec)
    assert caught.value.kind == "unsuitable"


def test_a_signal_shorter_than_the_first_reduction_is_too_short() -> None:
    with pytest.raises(AudioError, match="3 samples, too few") as caught:
        transformed(CQT(), noise(1.0)[:3], 96_000)
    assert caught.value.kind == "too_short"
    with pytest.raises(librosa.ParameterError, match="too short"):
        oracle.cqt(noise(1.0)[:3], 96_000, CQT())


@pytest.mark.parametrize("value", [0.0, 0.25])
@pytest.mark.parametrize("n", [1, 1000, SR])
def test_constants_are_finite_and_silence_is_zero(n: int, value: float) -> None:
    C = transformed(CQT(), np.full(n, value, np.float32), SR)
    assert np.isfinite(C).all()
    assert (C == 0).all() == (value == 0)


def test_octaves_share_their_filters() -> None:
    octaves = cqt._octaves(CQT(), SR, 0.13, SR)
    assert all(octave.weights is octaves[0].weights for octave in octaves)
    assert [octave.hop_length for octave in octaves] == [512, 256, 128, 64, 32, 16, 8]
