"""The compose file fits docker-compose's own checker, and its commands make a table."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobs import extract_corpus
from tests.deploy.commands import options_of
from tests.deploy.loopback import certificates, free_port, replaced, started
from tests.deploy.programs import needed
from tests.support.audio_files import make_corpus
from tests.support.driver import ROOT
from tests.support.tables import assert_same_table

FILE = ROOT / "deploy" / "compose.yaml"
VALUES = {"MUSIC": "/srv/music", "S3_PASSWORD": "long enough", "WORKERS": "2"}


def services() -> dict[str, Any]:
    """Return the services, with the variables filled in."""
    text = re.sub(r"(?<!\$)\$\{(\w+)[^}]*\}", lambda found: VALUES[found[1]], FILE.read_text())
    return yaml.load(text, yaml.CSafeLoader)["services"]


def arguments_of(name: str) -> list[str]:
    return shlex.split(services()[name]["command"])


@pytest.mark.programs
def test_docker_compose_accepts_the_file() -> None:
    line = [needed("docker-compose"), "-f", FILE, "config"]
    done = subprocess.run(line, env=os.environ | VALUES, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout)["services"].keys() == services().keys()
    environment = {n: v for n, v in (os.environ | VALUES).items() if n != "S3_PASSWORD"}
    done = subprocess.run(line, env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    assert "S3_PASSWORD" in done.stderr


def test_nothing_is_reached_from_outside() -> None:
    assert yaml.safe_load(FILE.read_text())["networks"] == {"cluster": {"internal": True}}
    for name, service in services().items():
        assert service["networks"] == ["cluster"], name
        assert "ports" not in service, name


def test_the_images_have_versions() -> None:
    images = {service["image"] for service in services().values()} - {"featurelib"}
    assert all(re.fullmatch(r"\S+:RELEASE\.[\dTZ-]+", image) for image in images)


def test_the_programs_know_their_options(tmp_path: Path) -> None:
    run, worker = options_of(arguments_of("run")), options_of(arguments_of("worker"))
    assert services()["scheduler"]["entrypoint"] == ["dask", "scheduler"]
    tls = certificates(tmp_path / "tls")  # Dask wants to see the files
    line = replaced(arguments_of("scheduler"), {run["tls"]: str(tls)})
    scheduler = options_of(["scheduler", *line], "dask")
    assert run["cluster"] == worker["address"] == f"tls://scheduler:{scheduler['port']}"
    assert run["tls"] == worker["tls"]
    assert scheduler["tls_key"] == str(tls / "key.pem")


@pytest.mark.slow
def test_scheduler_workers_and_run_make_a_table(tmp_path: Path) -> None:
    corpus, table, tls = (tmp_path / name for name in ("music", "table", "tls"))
    make_corpus(corpus, {"rock": 3, "jazz": 3})
    certificates(tls)
    places = {"/certificates": str(tls)}
    port = free_port()
    at_scheduler = {**places, "scheduler:8786": f"127.0.0.1:{port}"}
    with contextlib.ExitStack() as stack:
        listens = {"0.0.0.0": "127.0.0.1", "8786": str(port), "127.0.0.1:8787": "127.0.0.1:0"}
        line = replaced(arguments_of("scheduler"), {**places, **listens})
        stack.enter_context(started("dask", ["scheduler", *line], tmp_path))
        to = {**at_scheduler, "\0/tmp": f"\0{tmp_path / 'tmp'}"}
        line = replaced(arguments_of("worker"), to)
        for _ in range(int(VALUES["WORKERS"])):
            stack.enter_context(started("featurelib", line, tmp_path))
        to = {**at_scheduler, "s3://trial/music": str(corpus), "s3://trial/table": str(table)}
        run = stack.enter_context(
            started("featurelib", replaced(arguments_of("run"), to), tmp_path)
        )
        assert run.wait() == 0, run.stderr
        assert "6 files with features, 0 failed" in run.stdout
    extract_corpus(corpus, tmp_path / "here", labels="parent", cluster="inline")
    assert_same_table(table, tmp_path / "here")
