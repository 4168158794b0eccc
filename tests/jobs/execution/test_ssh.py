"""Workers on hosts that are reached by SSH: a real sshd, whose hosts are names of loopback."""

from __future__ import annotations

import json
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from jobs.errors import ClusterError, UsageError
from jobs.execution.clusters import open_cluster
from jobs.execution.clusters.ssh import ssh_options
from jobs.execution.opening import executor_opener
from jobs.run import run_job
from jobs.settings import Settings
from tests.support import driver
from tests.support.clusters import certificates
from tests.support.doubles import Gate
from tests.support.driver import started, wait_until, wait_until_gone
from tests.support.sockets import assert_closed_to_others, assert_encrypted, family_of
from tests.support.sshd import Sshd, sshd
from tests.support.tables import assert_same_table, write_files

HOST = "127.0.0.1"
DOWN = "127.0.0.2"
"""An address at which the server does not listen."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("ssh") / "sshd") as opened:
        yield opened


def settings(options: dict[str, Any], **others: Any) -> Settings:
    return Settings(cluster="ssh", cluster_options=options, **others)


def workers_of(server: Sshd) -> list[psutil.Process]:
    """Return the processes that sessions of the server run, as long as these last."""
    return family_of(server.pid)[1:]


def corpus(folder: Path, n: int = 20) -> Path:
    return write_files(folder / "corpus", {f"rock/{i}.wav": f"play {i}" for i in range(n)})


@pytest.mark.programs
def test_a_run(server: Sshd, tmp_path: Path) -> None:
    """Nothing listens beyond loopback, and the workers are gone at the end."""
    source = corpus(tmp_path)
    request = driver.request_for(
        source,
        tmp_path / "table",
        labels="parent",
        cluster="ssh",
        cluster_options=server.options(HOST),
    )

    workers: list[psutil.Process] = []

    def look(event: object) -> None:
        if type(event).__name__ == "ShardDone" and not workers:
            workers.extend(workers_of(server))
            assert_closed_to_others([psutil.Process(), *family_of(server.pid)], at_least=6)

    report = run_job(request, executor_opener(request.settings), look)
    assert report.exit_code == 0
    driver.run_inline(driver.request_for(source, tmp_path / "expected", labels="parent"))
    assert_same_table(tmp_path / "table", tmp_path / "expected")
    assert len(workers) >= 4
    wait_until_gone(workers, 20)


@pytest.mark.programs
def test_certificates_and_no_keys_in_command_lines(server: Sshd, tmp_path: Path) -> None:
    tls = certificates(tmp_path / "tls")
    with open_cluster(settings(server.options(HOST), tls=str(tls), workers=2)) as (client, _):
        assert client.scheduler.address.startswith("tls://127.0.0.1:")
        workers = workers_of(server)
        assert_encrypted(workers, at_least=4)
        lines = [" ".join(process.cmdline()) for process in workers]
        environments = [str(process.environ()) for process in workers]
    secret = "".join((tls / "key.pem").read_text().splitlines()[1:-1])
    assert any(str(tls / "key.pem") in line for line in lines)  # paths are no secrets
    for text in (*lines, *environments):
        assert secret not in text
        assert "PRIVATE KEY" not in text


@pytest.mark.programs
def test_a_host_that_does_not_answer(server: Sshd) -> None:
    """The others work, and the user is told."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        with open_cluster(settings(server.options(HOST, DOWN), workers=2)) as (client, hosts):
            assert len(client.scheduler_info()["workers"]) == 2
            assert hosts.n_wanted() == 4
            assert hosts.why().startswith(f"{DOWN}: ")
    [text] = [str(one.message) for one in told if "no workers on" in str(one.message)]
    assert text.startswith(f"no workers on {DOWN}: ")


@pytest.mark.programs
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"remote_python": "/nowhere/python"}, "/nowhere/python: No such file or directory"),
        ({"remote_python": "/bin/false"}, "the workers ended (1)"),
        ({"connect_options": {"known_hosts": "/dev/null"}}, "Host key is not trusted"),
        ({"connect_options": {"client_keys": []}}, "Permission denied"),
    ],
    ids=["no python", "no workers", "another host", "no key"],
)
def test_a_host_that_cannot_be_used(server: Sshd, change: dict[str, Any], message: str) -> None:
    opened = open_cluster(settings(server.options(HOST, **change)))
    with pytest.raises(ClusterError) as caught, opened:
        pass
    assert str(caught.value).startswith(f"no host has workers: {HOST}: ")
    assert message in str(caught.value)


@pytest.mark.programs
def test_certificates_that_the_host_does_not_have(server: Sshd, tmp_path: Path) -> None:
    tls = certificates(tmp_path / "tls")
    options = server.options(HOST, remote_tls=str(tmp_path / "nowhere"))
    opened = open_cluster(settings(options, tls=str(tls)))
    with pytest.raises(ClusterError, match=r"nowhere/ca.pem: No such file or directory"), opened:
        pass


@pytest.mark.programs
def test_workers_that_die_come_again(
    server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if all processes of the host die at once, as if it had started again."""
    monkeypatch.setattr("jobs.execution.clusters.ssh._FIRST_PAUSE_S", 0.1)
    gate = Gate(tmp_path / "gate")
    source = write_files(corpus(tmp_path), {"rock/last.wav": f"gate {gate.folder}"})
    request = driver.request_for(
        source, tmp_path / "table", cluster="ssh", cluster_options=server.options(HOST)
    )
    killed: list[int] = []

    def kill(event: object) -> None:
        if type(event).__name__ == "ShardDone" and not killed:
            for process in workers_of(server):
                killed.append(process.pid)
                process.kill()
            gate.open()

    report = run_job(request, executor_opener(request.settings), kill)
    assert killed
    assert (report.exit_code, report.n_files, report.n_errors) == (0, 21, 0)


@pytest.mark.programs
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_the_driver(server: Sshd, tmp_path: Path, number: signal.Signals) -> None:
    gate = Gate(tmp_path / "gate")
    source = write_files(tmp_path / "corpus", {"a.wav": f"gate {gate.folder}"})
    config = tmp_path / "featurelib.toml"
    options = server.options(HOST)
    connect_options = options.pop("connect_options")
    config.write_text(
        "\n".join(
            [
                '[run]\ncluster = "ssh"\n[cluster]',
                *(f"{name} = {json.dumps(value)}" for name, value in options.items()),
                "[cluster.connect_options]",
                *(f"{name} = {json.dumps(value)}" for name, value in connect_options.items()),
            ]
        )
    )
    line = ("extract", source, "--output", tmp_path / "table", "--config", config)
    with started(*line, "--preset", "tutorial-v1", folder=tmp_path) as command:
        wait_until(lambda: gate.pids or not command.is_running, "a file at the gate")
        assert command.is_running, command.stderr
        workers = workers_of(server)
        command.process.send_signal(number)
        codes = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}
        assert command.wait(30) == codes[number]
        assert len(workers) >= 4
        # after SIGKILL nobody tells them not to wait for the file
        wait_until_gone(workers, 90 if number == signal.SIGKILL else 20)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "no hosts are given: list them"),
        ({"hosts": ["a", "a"]}, "name each host once"),
        ({"host": ["a"]}, "host is ['a']: give a string"),
        ({"hosts": ["a"], "n_worker": 2}, "did you mean 'n_workers'?"),
        ({"hosts": ["a"], "n_workers": "2"}, "n_workers is '2': give a whole number"),
    ],
)
def test_options_that_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        ssh_options(settings(options))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hosts": [HOST], "connect_options": {"client_kees": []}}, "keyword argument"),
        ({"hosts": [HOST], "connect_options": {"client_keys": ["/nowhere"]}}, "No such file"),
        ({"hosts": [HOST], "host": "0.0.0.0"}, "would listen at 0.0.0.0 without TLS"),
        ({"hosts": ["node..1"]}, "the address of the host 'node..1' is not known: "),
    ],
)
def test_clusters_that_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught, open_cluster(settings(options)):
        pass
    assert message in str(caught.value)
