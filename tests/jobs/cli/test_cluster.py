"""The commands for clusters, as a user types them."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from jobs.execution.clusters.tls import security_of
from jobs.settings import Settings
from tests.support import light


def test_certificates(tmp_path: Path) -> None:
    folder = tmp_path / "my tls"
    found = light.invoke("cluster", "certificates", folder)
    assert (found.returncode, found.stderr) == (0, "")
    first, *_, last = found.stdout.splitlines()
    assert first.startswith("Certificates, valid until ")
    assert f"start runs with --tls '{folder}'" in last
    assert security_of(Settings(tls=str(folder))) is not None

    found = light.invoke("cluster", "certificates", folder)
    assert (found.returncode, found.stdout) == (2, "")
    assert "already: give another folder, or --force" in found.stderr

    found = light.invoke("cluster", "certificates", folder, "--force", "--days", "7", "--json")
    told = json.loads(found.stdout)
    assert told.pop("folder") == str(folder)
    left = datetime.fromisoformat(told.pop("expires")) - datetime.now().astimezone()
    assert left.days in (6, 7)
    assert told == {"ca": "ca.pem", "cert": "cert.pem", "key": "key.pem"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["certificate", "x"], "there is no command 'certificate'; did you mean 'certificates'?"),
        (["certificates"], "missing argument 'DIR'"),
        (["certificates", "x", "--days", "0"], "0 is not in the range"),
        (["certificates", "x", "--day", "1"], "no such option '--day'"),
        (["worker"], "missing argument 'ADDRESS'"),
        (["worker", "tcp://10.0.0.1:1"], "is a scheduler without TLS beyond this machine"),
        (["worker", "tls://10.0.0.1:1"], "tls://… needs certificates: give --tls DIR"),
        (["worker", "tcp://127.0.0.1:1", "--worker-memory", "much"], "worker_memory is 'much'"),
        (["worker", "tcp://127.0.0.1:1", "--workers", "0"], "0 is not in the range"),
    ],
)
def test_what_is_refused(arguments: list[str], message: str) -> None:
    found = light.invoke("cluster", *arguments)
    assert (found.returncode, found.stdout) == (2, "")
    [line] = found.stderr.splitlines()
    assert message in line


def test_a_worker_without_a_scheduler() -> None:
    found = light.invoke("cluster", "worker", "tcp://127.0.0.1:9", "--wait", "0.1")
    assert (found.returncode, found.stdout) == (1, "")
    assert "no scheduler answers at tcp://127.0.0.1:9" in found.stderr
