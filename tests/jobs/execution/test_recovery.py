"""What a worker had staged when it died is not extracted again."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from jobs.execution.recovery import recovered
from jobs.execution.sharding import Shard
from jobs.execution.task import extract_shard
from jobs.storage.opening import open_store
from tests.jobs.execution.test_dask import job_for
from tests.support.tables import write_files


class DiedError(BaseException):
    """Stands for a worker's death."""


def test_what_was_staged_counts_and_the_rest_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.execution.attempt._STAGE_EVERY_S", 0.0)
    files = {f"{i}.wav": f"play {i}" for i in range(6)} | {"1.wav": "bad"}
    corpus = write_files(tmp_path / "corpus", files)
    job = dataclasses.replace(job_for(corpus, tmp_path / "table"), prefetch_bytes=0)
    shard = Shard(0, tuple((name, "listed") for name in files), tuple(range(6)))
    table = open_store(job.table)
    n_opened = 0

    def die_at_the_fifth(path: str) -> None:
        nonlocal n_opened
        n_opened += path == "4.wav"
        if n_opened == 2:  # opened ahead, then extracted
            raise DiedError

    with pytest.raises(DiedError):
        extract_shard(job, shard, die_at_the_fifth)
    others = Shard(0, (("elsewhere.wav", "listed"),))
    write_files(corpus, {"elsewhere.wav": "play"})
    of_others = extract_shard(job, others)
    result, left = recovered(job, shard, table, set())
    assert result.n_files == 3  # 0, 2 and 3; the row of 1 is an error
    assert result.n_rows >= 3
    assert result.n_bytes == 0 + 2 + 3
    assert result.audio_s > 0
    assert not set(result.staged) & set(of_others.staged)
    assert [path for path, _ in left.files] == ["1.wav", "4.wav", "5.wav"]
    assert left.sizes == (1, 4, 5)
    again, nothing_new = recovered(job, shard, table, set(result.staged))
    assert (again.n_files, nothing_new) == (0, shard)
