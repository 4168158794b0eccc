"""Settings: where they come from, what is refused, and what a log may show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobs.errors import UsageError
from jobs.settings import Settings, did_you_mean, public, read_config, secrets_of, with_values


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"limt": 3}, r"file: there is no setting 'limt'; did you mean 'limit'\?"),
        ({"zzz": 3}, r"there is no setting 'zzz'; there are labels, "),
        ({"limit": "3"}, r"file: limit is '3': give a whole number"),
        ({"limit": 2.5}, r"limit is 2.5: give a whole number"),
        ({"limit": True}, r"limit is True: give a whole number"),
        ({"limit": 0}, r"limit is 0: give a whole number of at least 1"),
        ({"workers": -1}, r"workers is -1"),
        ({"workers": 0}, r"workers is 0: give a whole number of at least 1, or MIN:MAX"),
        ({"workers": "3:2"}, r"workers is '3:2'"),
        ({"workers": "0:0"}, r"workers is '0:0'"),
        ({"workers": "many"}, r"workers is 'many'"),
        ({"workers": 2.5}, r"workers is 2.5: give a whole number, or MIN:MAX"),
        ({"cluster": "slrum"}, r"cluster is 'slrum': give 'local', 'inline', 'slurm', "),
        ({"cluster": "a..B"}, r"cluster is 'a..B'"),
        ({"cluster_options": [1]}, r"cluster_options is \[1\]: give a table"),
        ({"keep_runs": 0}, r"keep_runs is 0"),
        ({"keep_runs_days": 0}, r"keep_runs_days is 0"),
        ({"buckets": 0}, r"buckets is 0"),
        ({"labels": 1}, r"labels is 1: give a string"),
        ({"max_failed": 1.5}, r"max_failed is 1.5: give a fraction from 0 to 1"),
        ({"max_deleted": float("nan")}, r"max_deleted is nan"),
        ({"max_failed": "all"}, r"max_failed is 'all': give a number"),
        ({"file_timeout_s": 0}, r"file_timeout_s is 0: give a number above 0"),
        ({"file_timeout_s": float("inf")}, r"file_timeout_s is inf"),
        ({"prefetch_mb": float("nan")}, r"prefetch_mb is nan"),
        ({"recompute": 1}, r"recompute is 1: give true or false"),
        ({"include": "*.wav"}, r"include is '\*.wav': give a list of strings"),
        ({"exclude": ["a", 1]}, r"exclude is \['a', 1\]: give a list of strings"),
        ({"partition_by": "genre"}, r"partition_by is 'genre': give 'label' or 'none'"),
        ({"storage_options": ["key"]}, r"storage option 'key' has no value: write key=value"),
        ({"storage_options": ["both:key=1"]}, r"'both:key': before the colon goes corpus or table"),
        ({"storage_options": ["a=1", "a.b=2"]}, r"'a.b': 'a' has a value already"),
    ],
)
def test_what_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        with_values(Settings(), values, "file")


def test_what_is_taken() -> None:
    settings = with_values(
        Settings(limit=3),
        {"limit": None, "max_failed": 1, "include": ["a", "b"], "keep_missing": False},
        "file",
    )
    assert settings == Settings(max_failed=1, include=("a", "b"), keep_missing=False)


@pytest.mark.parametrize(
    ("workers", "taken", "low", "high"),
    [
        (None, None, None, None),
        (3, 3, 3, 3),
        ("3", 3, 3, 3),
        ("4:4", 4, 4, 4),
        ("0:20", "0:20", 0, 20),
    ],
)
def test_numbers_of_workers(workers: Any, taken: Any, low: int | None, high: int | None) -> None:
    settings = Settings(workers=workers)
    assert settings.workers == taken
    assert (settings.min_workers, settings.max_workers) == (low, high)
    assert settings.is_adaptive == (taken == "0:20")


def test_storage_options_by_side() -> None:
    settings = Settings(
        storage_options=(
            "anon=true",
            "key=a=b",
            "n=5",
            "client_kwargs.endpoint_url=http://x:1",
            "client_kwargs.verify=false",
            "corpus:key=corpus",
            'table:config_kwargs={"retries": 1}',
            "code=007",
        )
    )
    both = {
        "anon": True,
        "n": 5,
        "code": "007",
        "client_kwargs": {"endpoint_url": "http://x:1", "verify": False},
    }
    assert settings.options_for("corpus") == {**both, "key": "corpus"}
    assert settings.options_for("table") == {
        **both,
        "key": "a=b",
        "config_kwargs": {"retries": 1},
    }


def test_no_secret_is_shown() -> None:
    settings = Settings(storage_options=("key=AKIA1234", "table:secret=s3cr=et", "x=ab"))
    assert secrets_of(settings) == ["AKIA1234", "s3cr=et"]
    hook = "curl https://hooks.test/s3cr=et"
    others = Settings(on_failure=hook, on_success=hook, cluster_options={"password": "s3cr=et"})
    redacted = "".join(repr(s) + repr(public(s)) for s in (settings, others))
    assert "AKIA" not in redacted
    assert "s3cr" not in redacted
    assert public(settings)["storage_options"] == ["key=…", "table:secret=…", "x=…"]


def test_locations_are_written_down_in_full(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert public(Settings(labels="l.csv"))["labels"] == str(tmp_path / "l.csv")
    assert public(Settings(labels="parent"))["labels"] == "parent"
    assert public(Settings(labels="s3://b/l.csv"))["labels"] == "s3://b/l.csv"


def test_a_file_of_settings(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text('[spec]\npreset = "genre-v1"\n[run]\nlimit = 3\n')
    assert read_config(path) == ({"preset": "genre-v1"}, {"limit": 3})
    path.write_text("[run]\nlimit = 3\n[cluster]\ncores = 4\n")
    assert read_config(path) == ({}, {"limit": 3, "cluster_options": {"cores": 4}})
    path.write_text("")
    assert read_config(path) == ({}, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("limit = \n", r"settings.toml is not TOML: .*line 1"),
        ("limit = 3", r"there is no table \[limit\]; there are \[spec\], \[run\] and \[cluster\]"),
        ("[runs]\nlimit = 3", r"there is no table \[runs\]"),
        ("run = 3", r"run has to be a table"),
        ("[run]\na = 1\na = 2", r"is not TOML"),
        ("\udcff", r"is not TOML"),
    ],
)
def test_malformed_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError, match=message):
        read_config(path)
    with pytest.raises(UsageError, match=r"cannot read .*none.toml: No such file"):
        read_config(tmp_path / "none.toml")


def test_hints() -> None:
    assert did_you_mean("extrct", ["extract", "errors"]) == "; did you mean 'extract'?"
    assert did_you_mean("zzz", ["extract", "errors"]) == "; there are extract, errors"


@pytest.mark.parametrize(
    ("cluster", "first", "later"),
    [
        ("local", 120, 60),
        ("tls://host:8786", 120, 60),
        ("kubernetes", 1800, 1800),
        ("slurm", 14_400, 14_400),
        ("dask_jobqueue.PBSCluster", 14_400, 14_400),
    ],
)
def test_how_long_workers_are_waited_for(cluster: str, first: float, later: float) -> None:
    settings = Settings(cluster=cluster)
    assert (settings.first_worker_limit_s, settings.no_worker_limit_s) == (first, later)
    given = {"first_worker_timeout_s": 5, "no_worker_timeout_s": 7.5}
    settings = with_values(settings, given, "test")
    assert (settings.first_worker_limit_s, settings.no_worker_limit_s) == (5, 7.5)
