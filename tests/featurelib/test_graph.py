"""Nodes, plans, analyses, and the canonical form behind fingerprints."""

from __future__ import annotations

import json
from dataclasses import dataclass, make_dataclass
from typing import Any

import librosa
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurelib import Feature, SpecError, families, spec_from_settings
from featurelib.features.chroma_stft import ChromaSTFT
from featurelib.features.delta import Delta
from featurelib.features.log_mel import LogMel
from featurelib.features.log_spectrogram import LogSpectrogram
from featurelib.features.melspectrogram import MelSpectrogram
from featurelib.features.mfcc import MFCC
from featurelib.features.poly_features import PolyFeatures
from featurelib.features.rms import RMS
from featurelib.features.spectral_bandwidth import SpectralBandwidth
from featurelib.features.spectral_centroid import SpectralCentroid
from featurelib.features.spectral_density import SpectralDensity
from featurelib.features.spectral_flatness import SpectralFlatness
from featurelib.features.spectral_flux import SpectralFlux
from featurelib.features.stft import DbCells, MagnitudeCells
from featurelib.features.stft_rms import STFTRMS
from featurelib.graph import Analysis, Block, Lockstep, Node, Operator, Plan, Signal, canonical
from featurelib.parameters import parameter
from featurelib.specs.keywords import build
from featurelib.statistics import Moments, Quantiles, Series
from featurelib.transforms import frames, tuning
from featurelib.transforms.cqt import CQT, PitchClasses
from featurelib.transforms.frames import Frames
from featurelib.transforms.mel import Mel, MelDb
from featurelib.transforms.stft import STFT, LogPower, PowerSums
from tests.featurelib.support.signals import SR, chord, noise
from tests.featurelib.support.specs import READS, entries_of, given_nodes
from tests.support.quick import slow_but_every

FAMILIES = tuple(families())


def series_of(features: list[Feature], parts: list[np.ndarray]) -> list[np.ndarray]:
    """Frame series of features, for a signal that arrives in parts."""
    sinks = [Series(of=feature) for feature in features]
    plan = Plan(sinks, SR)
    analysis = Analysis(plan)
    for part in parts:
        part = part.copy()
        analysis.push(part)
        part[:] = np.nan  # the caller may reuse the memory
    analysis.finish()
    return [analysis.operators[plan.index[sink]].series() for sink in sinks]


# --- plans


def kinds(plan: Plan) -> list[str]:
    return [type(node).__name__ for node in plan.nodes]


def test_equal_nodes_are_one_node():
    plan = Plan([MFCC(n_mfcc=13), MFCC(n_mfcc=20), SpectralCentroid(), ChromaSTFT()], SR)
    for shared in ("Signal", "Frames", "STFT", "Mel", "MelDb"):
        assert kinds(plan).count(shared) == 1
    assert kinds(plan).count("MFCC") == 2


def test_a_second_transform_is_another_node():
    plan = Plan([MFCC(), build(MFCC, {"n_fft": 4096, "hop_length": 1024}), RMS()], SR)
    assert [kinds(plan).count(kind) for kind in ("Frames", "STFT", "Mel", "MelDb")] == [2] * 4


@pytest.mark.parametrize("family", FAMILIES)
def test_nodes_come_behind_what_they_read(family):
    plan = Plan([build(families()[family], {}, given_nodes(family))], SR)
    assert plan.nodes[0] == Signal()
    for i, node in enumerate(plan.nodes):
        assert plan.index[node] == i
        for port, source in enumerate(node.inputs()):
            assert plan.index[source] < i
            readers = plan.readers[plan.index[source]]
            assert (i, port) in [(reader, to) for reader, to, _ in readers]
    assert sum(map(len, plan.readers)) == sum(len(node.inputs()) for node in plan.nodes)


def test_parameters_are_checked_at_the_rate_of_the_plan():
    node = build(MFCC, {"fmin": 5000})
    Plan([node], 44_100)
    with pytest.raises(SpecError, match=r"fmin=5000 .*sr=8000"):
        Plan([node], 8_000)


@dataclass(frozen=True, kw_only=True)
class Ratio(Node):
    """Ratio of two features, frame by frame."""

    above: Feature
    below: Feature

    def operator(self, sr: int) -> Operator:
        return Lockstep(lambda a, b: Block(a.x / b.x, a.n_frames), 2)


@pytest.mark.parametrize(
    "late",
    [
        MFCC(),
        SpectralFlux(),
        Delta(of=SpectralCentroid()),
        ChromaSTFT(),
        build(SpectralCentroid, {"hop_length": 256}),
        RMS(frames=Frames(n_fft=1024)),
    ],
    ids=lambda node: type(node).__name__,
)
def test_inputs_out_of_step_are_refused(late):
    for node in (Ratio(above=late, below=RMS()), Ratio(above=RMS(), below=late)):
        with pytest.raises(
            SpecError, match=f"Ratio .*({type(late).__name__}, RMS|RMS, {type(late).__name__})"
        ):
            Plan([node], SR)


def test_inputs_in_step_are_joined():
    both = Delta(of=RMS()), Delta(of=RMS(), order=2)
    for above, below in (
        (SpectralCentroid(), RMS()),
        (MFCC(n_mfcc=1), MFCC(n_mfcc=1)),
        both[:1] * 2,
    ):
        plan = Plan([Ratio(above=above, below=below)], SR)
        analysis = Analysis(plan)
        analysis.push(chord())
        analysis.finish()
    with pytest.raises(SpecError, match="Ratio"):  # each of them realigns its frames separately
        Plan([Ratio(above=both[0], below=both[1])], SR)


# --- analyses

JOINED = [
    SpectralBandwidth(p=3.0),
    SpectralBandwidth(p=1.5),
    SpectralFlatness(),
    SpectralFlux(),
    Delta(of=MFCC(n_mfcc=3)),
    Delta(of=SpectralFlux(), delta_width=5, order=2),
    Delta(of=Delta(of=RMS(), delta_width=3)),
    MelSpectrogram(mel=Mel(n_mels=8)),
    LogMel(mel=MelDb(mel=Mel(n_mels=8))),
    LogSpectrogram(),
    SpectralDensity(n_bands=8),
    PolyFeatures(),
    STFTRMS(),
]


@given(
    length=st.integers(9 * 512, 40 * 512),
    cuts=st.lists(st.integers(0, 20_000), max_size=6),
    block_frames=st.integers(1, 20),
)
def test_blocks_of_any_size_give_the_same_series(length, cuts, block_frames):
    y = noise()[:length] + chord()[:length]
    whole = series_of(JOINED, [y])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frames, "BLOCK_FRAMES", block_frames)
        pieces = series_of(JOINED, np.split(y, sorted(min(cut, length) for cut in cuts)))
    for one, other in zip(whole, pieces, strict=True):
        assert len(one) >= length // 512
        np.testing.assert_allclose(other, one, rtol=1e-6, atol=1e-6 * np.abs(one).max())


@given(
    n_frames=st.integers(3, 60),
    cuts=st.lists(st.integers(0, 60), max_size=8),
    half=st.integers(1, 7),
    order=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_delta_of_frames_in_any_blocks_is_librosas(n_frames, cuts, half, order, seed):
    width = 2 * half + 1
    n_frames, order = max(n_frames, width), min(order, width - 1)
    x = np.random.default_rng(seed).standard_normal((n_frames, 2))
    operator = Delta(of=MFCC(n_mfcc=2), delta_width=width, order=order).operator(SR)
    blocks: list[Block] = []
    for part in np.split(x, sorted(min(cut, n_frames) for cut in cuts)):
        part = part.copy()
        blocks += operator.push(Block(part, len(part)), 0)
        part[:] = np.nan
    blocks += operator.finish()
    assert all(len(block.x) == block.n_frames for block in blocks)
    expected = librosa.feature.delta(x.T, width=width, order=order).T
    found = np.concatenate([block.x for block in blocks])
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


# --- the canonical form


def of_default(kind: type[Node], **nodes: Any) -> list[Any]:
    """Canonical form of a node with default parameters, whose inputs are its fields."""
    return [kind.__name__, kind.version, {}, nodes, []]


STFT_FORM = of_default(STFT, frames=of_default(Frames, signal=of_default(Signal)))


def test_the_canonical_form_leaves_defaults_out_and_writes_nodes_in_full():
    mel = of_default(Mel, stft=STFT_FORM)
    mfcc = of_default(MFCC, mel=of_default(MelDb, mel=mel))
    assert canonical(MFCC()) == mfcc
    mfcc[2]["n_mfcc"] = 13
    mel[2]["fmax"] = 4000.0
    assert canonical(build(MFCC, {"n_mfcc": 13, "fmax": 4000, "n_mels": 128})) == mfcc


def test_the_canonical_form_has_inputs_that_are_no_fields():
    sums = of_default(PowerSums, stft=STFT_FORM)
    kind = SpectralCentroid
    assert canonical(kind()) == [kind.__name__, kind.version, {}, {"stft": STFT_FORM}, [sums]]


def test_the_canonical_form_of_a_long_chain_takes_no_time():
    feature: Feature = RMS()
    for _ in range(40):  # doubling the work at each step would take forever
        feature = Delta(of=feature)
    form = canonical(feature)
    for _ in range(40):
        form = form[3]["of"]
    assert form == canonical(RMS())


def test_the_canonical_form_survives_json():
    for family, kind in families().items():
        node = build(kind, {}, given_nodes(family))
        assert json.loads(json.dumps(canonical(node))) == canonical(node)


@pytest.mark.parametrize("kind", [MFCC, MelDb, STFT, Frames, ChromaSTFT])
def test_a_parameter_that_is_added_later_changes_nothing(kind):
    later = make_dataclass(
        kind.__name__,
        [("lifter", "int", parameter(0, "a new one"))],
        bases=(kind,),
        frozen=True,
        kw_only=True,
    )
    assert later is not kind
    assert canonical(later()) == canonical(kind())
    changed = canonical(later(lifter=1))
    assert changed != canonical(kind())
    assert changed[2] == {"lifter": 1}


# --- fingerprints


def spec_of(family: str) -> Any:
    """A new spec of one family."""
    return spec_from_settings({"features": entries_of(family)})


FRAMED = frozenset(FAMILIES) - {"waveform"}
SPECTRAL = FRAMED - {"rms", "zero_crossing_rate", "yin", "voiced"}
RHYTHM = frozenset({"onset_strength", "tempo"})

#: Families that are computed from values of another family, and that family.
FOLLOWERS = READS | {"tempo": "onset_strength"}

#: Families that read a node class, directly or not.
READERS: dict[type[Node], frozenset[str]] = {
    Signal: frozenset(FAMILIES),
    Frames: FRAMED,
    STFT: SPECTRAL,
    PowerSums: frozenset({"spectral_centroid", "spectral_bandwidth", "spectral_flux"}),
    LogPower: frozenset({"spectral_flatness", "stft_db"}),
    Mel: RHYTHM | {"mfcc", "delta", "log_mel", "melspectrogram"},
    MelDb: RHYTHM | {"mfcc", "delta", "log_mel"},
    tuning.EstimatedTuning: frozenset(
        {"chroma_stft", "chroma_cqt", "chroma_cens", "tonnetz", "tuning"}
    ),
    CQT: frozenset({"chroma_cqt", "chroma_cens"}),
    PitchClasses: frozenset({"chroma_cqt", "chroma_cens"}),
    MagnitudeCells: frozenset({"stft"}),
    DbCells: frozenset({"stft_db"}),
    Moments: frozenset(FAMILIES) - {"tuning", "tempo"},
    Quantiles: frozenset(),
    **{
        kind: frozenset({family, *(reader for reader, of in FOLLOWERS.items() if of == family)})
        for family, kind in families().items()
    },
}


@pytest.mark.parametrize(
    "kind",
    slow_but_every(3, list(READERS)),
    ids=lambda kind: f"{kind.__module__}.{kind.__name__}",
)
def test_a_version_concerns_the_specs_that_read_the_node_and_no_others(kind, monkeypatch):
    before = {family: spec_of(family).fingerprint for family in FAMILIES}
    monkeypatch.setattr(kind, "version", kind.version + 1)
    after = {family: spec_of(family).fingerprint for family in FAMILIES}
    assert {family for family in FAMILIES if before[family] != after[family]} == READERS[kind]


def test_versions_of_derived_nodes_count_where_they_are_read_only(monkeypatch):
    def fingerprint(**values):
        return spec_from_settings({"features": [{"family": "spectral_bandwidth", **values}]})

    # Both specs read the sums; one reads the spectra as well.
    before = [fingerprint(p=p).fingerprint for p in (2, 3)]
    monkeypatch.setattr(PowerSums, "version", PowerSums.version + 1)
    after = [fingerprint(p=p).fingerprint for p in (2, 3)]
    assert all(one != other for one, other in zip(before, after, strict=True))
