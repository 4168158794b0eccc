"""Metrics, alerts and the dashboard, as Prometheus' own programs see them."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from jobs.diagnostics.events import Event, Serving, StepStarted
from jobs.diagnostics.metrics import RunMetrics
from tests.deploy.programs import needed
from tests.support.driver import ROOT, running, wait_until
from tests.support.light import run, write

RULES = ROOT / "deploy" / "prometheus" / "featurelib.rules.yaml"
DASHBOARD = ROOT / "deploy" / "grafana" / "featurelib.json"

#: Prometheus adds these to the name of a counter, and nothing else to the names of gauges.
_TOTAL = {"counter": "_total"}


def expressions() -> Iterator[str]:
    """Yield the queries of the dashboard, with the variables filled in."""
    board = json.loads(DASHBOARD.read_text())
    assert all(panel["targets"] for panel in board["panels"])
    found = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    found += [annotation["expr"] for annotation in board["annotations"]["list"]]
    for expression in found:
        yield expression.replace("$table", ".*").replace("$__rate_interval", "1m")


def known_metrics() -> dict[str, str]:
    """Return the type of each metric, by its name."""
    registry = CollectorRegistry()
    registry.register(RunMetrics("/t"))
    return {m.name + _TOTAL.get(m.type, ""): m.type for m in registry.collect()}


def test_every_metric_is_documented_with_its_type() -> None:
    text = (ROOT / "docs" / "watching.md").read_text()
    rows = re.findall(r"^\| (`featurelib_.*?) \| (\w+) \|", text, re.MULTILINE)
    documented = {name: kind for names, kind in rows for name in re.findall(r"\w+", names)}
    assert documented == known_metrics()


def test_the_dashboard_and_the_rules_name_metrics_that_there_are() -> None:
    known = known_metrics().keys()
    for text in (DASHBOARD.read_text(), RULES.read_text()):
        named = set(re.findall(r"\bfeaturelib_\w+", text))
        assert named
        assert named <= known
    shown = set(re.findall(r"\bfeaturelib_\w+", DASHBOARD.read_text()))
    assert len(shown) >= 15


def test_panels_of_the_dashboard_do_not_overlap() -> None:
    taken = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken
        taken |= cells


@pytest.mark.programs
def test_promtool_likes_the_metrics(tmp_path: Path) -> None:
    write(tmp_path / "music" / "a.wav")
    write(tmp_path / "music" / "b.wav", "bad")
    prom = tmp_path / "featurelib.prom"
    run(tmp_path / "music", tmp_path / "t", metrics=str(prom))
    line = [needed("promtool", "prometheus"), "check", "metrics"]
    found = subprocess.run(line, input=prom.read_bytes(), capture_output=True, check=False)
    assert (found.returncode, found.stdout, found.stderr) == (0, b"", b"")


@pytest.mark.programs
def test_alerts(tmp_path: Path) -> None:
    promtool = needed("promtool", "prometheus")
    subprocess.run([promtool, "check", "rules", RULES], check=True, capture_output=True)
    tests = tmp_path / "rules.test.yaml"
    text = Path(__file__).with_name("rules.test.yaml").read_text()
    tests.write_text(text.replace("[RULES]", json.dumps([str(RULES)])))
    found = subprocess.run(
        [promtool, "test", "rules", tests], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr
    tested = set(re.findall(r"alertname: (\w+)", text))
    assert tested == set(re.findall(r"alert: (\w+)", RULES.read_text()))


class Prometheus:
    """A server that scrapes one target, and what it knows."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/api/v1"

    def ask(self, expression: str) -> list[dict[str, Any]]:
        query = urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(f"{self._url}/query?{query}", timeout=10) as answer:
            found = json.load(answer)
        assert found["status"] == "success"
        return found["data"]["result"]

    def value(self, expression: str) -> float | None:
        try:
            found = self.ask(expression)
        except OSError:  # it starts
            return None
        return float(found[0]["value"][1]) if found else None


@pytest.mark.programs
def test_a_prometheus_that_scrapes_a_run_knows_what_its_report_says(tmp_path: Path) -> None:
    for n in range(40):
        write(tmp_path / "music" / f"{n}.wav", "bad" if n % 10 == 0 else "x" * n)
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    config = tmp_path / "prometheus.yml"
    server = Prometheus(port)
    line = [
        *(needed("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={tmp_path}/data"),
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    measured: dict[str, float | None] = {}

    def observe(event: Event) -> None:
        if isinstance(event, Serving):
            target = urllib.parse.urlsplit(event.url).netloc
            jobs = [{"job_name": "featurelib", "static_configs": [{"targets": [target]}]}]
            config.write_text(
                json.dumps(
                    {
                        "global": {"scrape_interval": "200ms", "scrape_timeout": "200ms"},
                        "scrape_configs": jobs,
                        "rule_files": [str(RULES)],
                    }
                )
            )
            started.enter_context(running(line, tmp_path))
        if event == StepStarted("clean"):  # all is counted; the run waits for the last scrape
            wait_until(
                lambda: server.value("featurelib_step_duration_seconds{step='verify'}") is not None,
                "a scrape after the extraction",
            )
            for name in ("files_total", "file_errors_total", "read_bytes_total", "table_files"):
                measured[name] = server.value(f"sum(featurelib_{name})")
            measured["failed"] = server.value("featurelib_files_total{status='failed'}")
            measured["audio"] = server.value("featurelib_audio_seconds_total")
            for expression in expressions():
                server.ask(expression)

    with contextlib.ExitStack() as started:
        report = run(tmp_path / "music", tmp_path / "t", metrics="127.0.0.1:0", observer=observe)
    assert measured == {
        "files_total": report.n_read,
        "file_errors_total": report.n_errors,
        "read_bytes_total": report.n_bytes,
        "table_files": report.n_files,
        "failed": report.n_failed,
        "audio": report.audio_s,
    }
    assert (report.n_files, report.n_errors) == (36, 4)
