"""Defects that were put into a corpus are named, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jobs.report.health import Finding, Predictions, findings
from jobs.report.reading import Features, read_errors, read_features, read_tracks
from jobs.table.reader import Table, open_table
from tests.benchmarks.million import make_table as make_large_table
from tests.jobs.report.health.planted import (
    GENRES,
    N_GOOD,
    PLANTED,
    make_table,
    write_defects,
    write_good,
)


def found_in(table: Table) -> dict[str, Finding]:
    tracks = read_tracks(table)
    features = read_features(table, tracks)
    found = findings(tracks, read_errors(table), features, predicted(features), table.metadata.spec)
    by_kind = {finding.kind: finding for finding in found}
    assert len(by_kind) == len(found)  # kinds are unique
    return by_kind


def predicted(features: Features) -> Predictions:
    """Held-out predictions of another classifier than the report's."""
    is_used = features.tracks["label"].notna().to_numpy()
    tracks, X = features.tracks[is_used], features.values[is_used]
    y = tracks["label"].astype(str)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    probabilities = cross_val_predict(model, X, y, cv=5, method="predict_proba")
    return Predictions(tracks, sorted(y.unique()), probabilities)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("health")
    write_good(place / "music")
    return place


@pytest.fixture(scope="module")
def planted(good: Path) -> dict[str, Finding]:
    assert found_in(make_table(good)) == {}  # before there are defects
    write_defects(good / "music")
    return found_in(make_table(good))


def named(finding: Finding) -> set[str]:
    """The tracks that a finding names, also in its details."""
    paths = {example.path for example in finding.examples}
    known = {path for paths in PLANTED.values() for path in paths}
    details = " ".join(example.detail for example in finding.examples)
    return paths | {path for path in known if path in details}


def test_exactly_the_planted_defects_are_named(planted: dict[str, Finding]) -> None:
    found = {kind: named(finding) for kind, finding in planted.items() if kind != "mislabelled"}
    assert found == PLANTED


def test_counts_are_of_tracks(planted: dict[str, Finding]) -> None:
    n_good, n_errors, n_copied = len(GENRES) * N_GOOD, 2, 2
    n_files = n_good + sum(map(len, PLANTED.values())) - n_copied - n_errors
    for kind, finding in planted.items():
        assert finding.count == len(PLANTED.get(kind, finding.examples))
        if kind not in ("outliers", "near_duplicates", "mislabelled"):
            assert finding.total == n_files + (2 if kind == "unusable" else 0), kind
        assert finding.advice
        assert finding.title
        assert not finding.sampled


def test_problems_come_first(planted: dict[str, Finding]) -> None:
    severities = [finding.severity for finding in planted.values()]
    assert severities == sorted(severities, reverse=True)  # "problem" before "notice"
    assert set(severities) == {"problem", "notice"}


def test_details_say_what_is_the_matter(planted: dict[str, Finding]) -> None:
    def detail(kind: str) -> str:
        return planted[kind].examples[0].detail

    assert "metal/other.flac (metal)" in detail("contradicting")
    assert planted["contradicting"].examples[0].label == "disco"
    assert "as from 16 kHz" in detail("upsampled")
    assert "nothing above 1" in detail("made_of_lossy")
    assert detail("low_rates") == "16 kHz, features at 22.05 kHz"
    assert detail("cut").endswith("s were decoded")
    assert detail("streams").startswith("2 streams")
    assert "no sound at all" in detail("silent")
    assert {e.detail.split(":")[0] for e in planted["unusable"].examples} == {
        "undecodable",
        "empty",
    }


def test_the_table_of_the_benchmarks_has_defects_too(tmp_path: Path) -> None:
    table = open_table(str(make_large_table(tmp_path / "table", 1000)), {})
    tracks = read_tracks(table)
    found = findings(tracks, read_errors(table), read_features(table, tracks))
    kinds = {finding.kind for finding in found}
    assert kinds >= {"duplicates", "silent", "cut", "clipped", "upsampled", "unusable"}


def test_swapped_labels_look_mislabelled(good: Path, planted: dict[str, Finding]) -> None:
    """Two tracks under each other's label, in a corpus of their own."""
    place = good.parent / f"{good.name}-swapped"
    for genre in GENRES:
        (place / "music" / genre).mkdir(parents=True)
        for path in (good / "music" / genre).glob(f"{genre}.*.wav"):
            shutil.copy(path, place / "music" / genre)
    one, other = (place / "music" / g / f"{g}.00010.wav" for g in ("folk", "metal"))
    data = one.read_bytes(), other.read_bytes()
    one.write_bytes(data[1])
    other.write_bytes(data[0])
    found = found_in(make_table(place))
    assert named(found["mislabelled"]) == {"folk/folk.00010.wav", "metal/metal.00010.wav"}
    assert {e.label for e in found["mislabelled"].examples} == {"folk", "metal"}
    assert "looks like 'metal'" in " ".join(e.detail for e in found["mislabelled"].examples)
    # they are unlike the others of their label too
    assert found.keys() <= {"mislabelled", "outliers"}
    if "outliers" in found:
        assert named(found["outliers"]) <= named(found["mislabelled"])
