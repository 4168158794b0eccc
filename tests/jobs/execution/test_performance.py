"""Dask's own pictures of a run: its dashboard, and its report."""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path

import pytest

from jobs.diagnostics.events import CountEnded, Event, Serving
from jobs.errors import UsageError
from jobs.execution.opening import executor_opener
from jobs.run import run_job
from tests.support.driver import request_for
from tests.support.tables import write_files


@pytest.mark.slow
def test_the_dashboard_and_the_report_of_a_run(tmp_path: Path) -> None:
    corpus = write_files(tmp_path / "corpus", {f"{n}.wav": "play" for n in range(40)})
    path = tmp_path / "report.html"
    request = request_for(
        corpus, tmp_path / "t", workers=2, dashboard=True, performance_report=str(path)
    )
    pages: list[bytes] = []

    def observe(event: Event) -> None:
        if isinstance(event, Serving):
            assert event.url.startswith("http://127.0.0.1:")
            with urllib.request.urlopen(event.url, timeout=20) as answer:
                pages.append(answer.read())
        if isinstance(event, CountEnded) and pages:
            assert path.exists()

    report = run_job(request, executor_opener(request.settings), observe)
    assert report.n_files == 40
    assert [b"bokeh" in page.lower() for page in pages] == [True]
    text = path.read_text()
    assert report.run_id in text
    assert "Task Stream" in text
    assert "extract_on_worker" in text or "extract-" in text
    assert re.search(r"<script[^>]*\ssrc=", text) is None  # it needs no network


def test_what_is_wrong_is_said_before_a_cluster_starts(tmp_path: Path) -> None:
    corpus = write_files(tmp_path / "corpus", {"a.wav": "play"})
    request = request_for(
        corpus, tmp_path / "t", performance_report=str(tmp_path / "no" / "r.html")
    )
    with pytest.raises(UsageError, match=r"no/r\.html cannot be written: give a file in a folder"):
        executor_opener(request.settings)
    with pytest.raises(UsageError, match="cluster 'inline' does not have"):
        request_for(corpus, tmp_path / "t", cluster="inline", performance_report="r.html")
