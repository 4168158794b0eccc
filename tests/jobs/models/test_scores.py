"""Scores on real recordings, beside a baseline that is written here with scikit-learn alone."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import featurelib
import jobs
from jobs import extract_corpus
from jobs.errors import UsageError
from jobs.models.cross_validation import CrossValidation

_SEEDS = (0, 1, 2)

_FOLDS = 5


def baseline(table: Path, preset: str, pattern: str | None) -> dict[str, float]:
    """Return accuracies of plain pipelines: read with pandas, the same groups and seeds."""
    rows = pd.read_parquet(table / "features").sort_values("path", ignore_index=True)
    X, y = rows[featurelib.feature_names(preset)].to_numpy(), rows["label"]
    keys = rows["path"].str.extract(pattern)[0] if pattern else rows["audio_hash"]
    n_folds = min(_FOLDS, keys.groupby(rows["label"]).nunique().min())
    found = {}
    for name, model in (
        ("mlp", MLPClassifier((256, 128, 64), max_iter=200, random_state=0)),
        ("svm", SVC(C=10)),
        ("logistic", LogisticRegression(max_iter=1000)),
    ):
        scores = [
            cross_val_score(
                make_pipeline(StandardScaler(), model),
                *(X, y),
                groups=pd.factorize(keys)[0],
                cv=StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed),
            ).mean()
            for seed in _SEEDS
        ]
        found[name] = float(np.mean(scores))
    return found


def ours(table: Path, place: Path, estimator: str, group_by: list[str]) -> float:
    found: list[CrossValidation] = [
        jobs.train_model(
            table, place, estimator=estimator, group_by=group_by, seed=seed, force=True
        ).result
        for seed in _SEEDS
    ]
    return float(np.mean([result.mean().accuracy for result in found]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("corpus", "group_by", "pattern", "floor"),
    [
        ("digits", "name:*_{group}_*", r"_([a-z]+)_", 0.35),
        ("digits", None, None, 0.85),
        ("clips", None, None, 0.7),
    ],
    ids=["digits by speaker", "digits", "clips"],
)
def test_scores_are_those_of_plain_scikit_learn(
    real_audio: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    corpus: str,
    group_by: str | None,
    pattern: str | None,
    floor: float,
) -> None:
    table = tmp_path / "table"
    preset = "speech-v1" if corpus == "digits" else "genre-v1"
    extract_corpus(real_audio / corpus, table, preset=preset, labels="parent", cluster="inline")
    groups = [] if group_by is None else [group_by]
    plain = baseline(table, preset, pattern)
    found = {name: ours(table, tmp_path / "m", name, groups) for name in ("mlp", "svm", "logistic")}
    with capsys.disabled():
        for what, scores in (("plain scikit-learn", plain), ("featurelib train", found)):
            text = ", ".join(f"{name} {score:.3f}" for name, score in scores.items())
            print(
                f"\n{corpus}{f' ({group_by})' if group_by else ''}, {preset}, {what}: {text}",
                end="",
            )
    if group_by:
        assert found["mlp"] > max(plain.values()) - 0.02
    for name, score in plain.items():
        assert found[name] > score - 0.02
    assert found["mlp"] > floor


def test_clips_of_one_recording_are_no_test(real_audio: Path, tmp_path: Path) -> None:
    """All helicopters were cut out of one recording: nothing could be held out."""
    table = tmp_path / "table"
    extract_corpus(
        real_audio / "clips", table, preset="tutorial-v1", labels="parent", cluster="inline"
    )
    with pytest.raises(UsageError, match="'helicopter' has 4 files, all of one group"):
        jobs.train_model(table, tmp_path / "m", group_by="name:?-{group}-*")


def test_speakers_are_found_in_names(real_audio: Path) -> None:
    names = {path.name for path in (real_audio / "digits").rglob("*.wav")}
    assert len({re.findall(r"_([a-z]+)_", name)[0] for name in names}) == 2
