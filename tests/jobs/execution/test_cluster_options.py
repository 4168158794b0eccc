"""The table [cluster]: what job queues and classes are called with, and what is refused."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import distributed
import pytest
from distributed import Security
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import ClusterError, UsageError
from jobs.execution.clusters import open_cluster
from jobs.execution.clusters.certificates import write_certificates
from jobs.execution.clusters.jobqueue import arguments_of, logs_of_jobs, wall_time_s
from jobs.execution.clusters.named import class_of
from jobs.execution.clusters.slurm import in_full
from jobs.execution.leaving import LEAVE_AT
from jobs.execution.opening import executor_opener
from jobs.settings import Settings
from tests.support.tables import write_files

LOCAL = {"interface": "lo", "memory": "2GB"}
PBS = "dask_jobqueue.PBSCluster"


@pytest.mark.parametrize(
    ("cluster", "options", "message"),
    [
        ("slurm", {}, "has no memory: give the memory of a job"),
        ("slurm", {"memory": "2GB"}, "featurelib cluster certificates DIR"),
        ("slurm", {"memory": "2GB", "interface": "l0"}, "interface = 'l0': there are .*lo"),
        ("slurm", LOCAL | {"processes": 2}, "processes = 2 and cores = 1: a worker has one thread"),
        ("slurm", LOCAL | {"wall_time": "1"}, "no argument 'wall_time'; did you mean 'walltime'"),
        ("slurm", LOCAL | {"n_workers": 2}, "n_workers: give --workers N"),
        (
            "slurm",
            LOCAL | {"scheduler_options": {"host": "0.0.0.0"}},
            "would listen on 0.0.0.0 without TLS",
        ),
        (
            "slurm",
            LOCAL | {"scheduler_options": {"dashboard_address": ":8787"}},
            "dashboard_address = ':8787': the dashboard has no login",
        ),
        ("slurm", LOCAL | {"memory": 2}, "memory = 2: give a size with its unit, such as '2GB'"),
        ("slurm", LOCAL | {"cores": "two"}, "cores = 'two': give a whole number of at least 1"),
        ("slurm", LOCAL | {"cores": 0}, "cores = 0: give a whole number of at least 1"),
        ("slurm", LOCAL | {"cores": True}, "cores = True: give a whole number of at least 1"),
        ("slurm", LOCAL | {"queue": 3}, "queue = 3: give text, in quotes"),
        ("slurm", LOCAL | {"scheduler_options": 3}, "scheduler_options = 3: give a table"),
        (PBS, LOCAL | {"job_script_prologue": "module load"}, "= 'module load': give a list"),
        (PBS, LOCAL | {"asynchronous": True}, "has asynchronous: leave it out"),
        (PBS, LOCAL | {"resources": "x"}, "no argument 'resources'; did you mean 'resource_spec'"),
        ("dask_jobqueue.PBSClutser", LOCAL, "no cluster class PBSClutser; did you mean 'PBSClus"),
        ("dask_jobqeue.PBSCluster", LOCAL, "No module named 'dask_jobqeue'; install it, or"),
        (
            "distributed.LocalCluster",
            {"dashboard_address": ":8787"},
            "dashboard_address = ':8787': the dashboard has no login",
        ),
        ("distributed.LocalCluster", {"hots": "x"}, "no argument 'hots'; did you mean 'host'"),
    ],
)
def test_options_that_are_refused(cluster: str, options: dict[str, Any], message: str) -> None:
    settings = Settings(cluster=cluster, cluster_options=options, workers=1)
    with pytest.raises(UsageError, match=message):  # before the corpus is listed
        executor_opener(settings)


def test_paths_that_would_break_the_scripts_of_jobs(tmp_path: Path) -> None:
    tls = tmp_path / "my certificates"
    write_certificates(tls, 1)
    for options, folder in (LOCAL | {"local_directory": "/my scratch"}, None), (LOCAL, str(tls)):
        settings = Settings(cluster="slurm", cluster_options=options, workers=1, tls=folder)
        with pytest.raises(UsageError, match=r"/my .* has spaces"):
            executor_opener(settings)


@pytest.mark.parametrize(
    ("cluster", "options"),
    [
        ("slurm", LOCAL | {"scheduler_options": {"port": "PORT"}}),
        ("distributed.LocalCluster", {"scheduler_port": "PORT"}),
        ("ssh", {"hosts": ["127.0.0.1"], "port": "PORT"}),
    ],
)
def test_a_port_that_is_taken(cluster: str, options: dict[str, Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = json.dumps(taken.getsockname()[1])
        options = json.loads(json.dumps(options).replace('"PORT"', port))
        settings = Settings(cluster=cluster, cluster_options=options, workers=1)
        with pytest.raises(ClusterError, match=r"start.*: .*Address already in use"):
            open_cluster(settings).__enter__()


def test_a_queue_must_be_told_how_many_workers() -> None:
    settings = Settings(cluster="slurm", cluster_options=LOCAL)
    with pytest.raises(UsageError, match="as many workers as --workers says"):
        executor_opener(settings)


def test_what_a_job_queue_is_called_with() -> None:
    found = arguments_of(LOCAL | {"cores": 4, "walltime": "01:00:00", "queue": "q"}, "slurm", None)
    assert (found["cores"], found["processes"], found["queue"]) == (4, 4, "q")
    assert found["scheduler_options"] == {"dashboard_address": "127.0.0.1:0"}
    assert found["worker_extra_args"] == ["--dashboard-address", "127.0.0.1:0"]
    security = Security(require_encryption=True)
    assert arguments_of({"memory": "2GB"}, "slurm", security)["security"] is security
    assert arguments_of({"memory": "2GB"}, "slurm", Security.temporary())  # contents, not paths


@pytest.mark.parametrize(
    ("wall_time", "earliest", "latest"),
    [
        ("00:01:00", 24, 30),
        (datetime.time(0, 1), 24, 30),
        ("01:00:00", 3060, 3420),
        ("2-00:00:00", 154_920, 172_200),
    ],
)
def test_when_workers_leave(wall_time: object, earliest: int, latest: int) -> None:
    lines = arguments_of(LOCAL | {"walltime": wall_time}, "slurm", None)["job_script_prologue"]
    script = "\n".join([*lines, f"echo $(( {LEAVE_AT} - $(date +%s) ))"])
    left = int(subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout)
    assert earliest - 2 <= left <= latest


@given(st.integers(0, 30), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_wall_times(days: int, hours: int, minutes: int, seconds: int) -> None:
    expected = ((24 * days + hours) * 60 + minutes) * 60 + seconds
    assert wall_time_s(in_full(f"{days}-{hours:02}:{minutes:02}:{seconds:02}")) == expected
    assert wall_time_s(in_full(f"{hours}:{minutes:02}:{seconds:02}")) == expected - 86_400 * days
    assert wall_time_s(in_full(f"{minutes}:{seconds:02}")) == 60 * minutes + seconds
    assert wall_time_s(in_full(minutes)) == 60 * minutes
    assert wall_time_s(in_full(f"{days}-{hours}")) == 3600 * (24 * days + hours)
    assert wall_time_s(in_full(f"{days}-{hours}:{minutes}")) == expected - seconds


@pytest.mark.parametrize("text", ["None", "", "UNLIMITED", "1 hour"])
def test_what_is_no_wall_time(text: str) -> None:
    assert wall_time_s(text) is None


def test_the_logs_of_failed_runs_are_kept_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    jobs = tmp_path / ".cache" / "featurelib" / "jobs"
    old = write_files(jobs / "run-old", {"featurelib-1.err": "no module featurelib"})
    os.utime(old, (0, 0))
    with contextlib.suppress(ClusterError), logs_of_jobs() as kept:
        write_files(Path(kept), {"featurelib-2.err": "no module featurelib"})
        raise ClusterError("no job starts")
    with contextlib.suppress(UsageError), logs_of_jobs():
        raise UsageError("a wrong option")
    with logs_of_jobs() as folder:
        write_files(Path(folder), {"featurelib-3.err": "all is well"})
    assert [str(path) for path in jobs.iterdir()] == [kept]


def test_ctrl_c_keeps_its_meaning_when_a_queue_is_imported() -> None:
    code = (
        "import signal; from jobs.execution.clusters.named import class_of;"
        f"class_of('{PBS}'); assert signal.getsignal(2) is signal.default_int_handler"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_class_by_its_name() -> None:
    assert class_of("distributed.LocalCluster") is distributed.LocalCluster


@pytest.mark.parametrize("name", ["distributed.Client", "jobs.settings.Settings"])
def test_a_class_that_is_no_cluster(name: str) -> None:
    module, _, name_in_it = name.rpartition(".")
    message = f"{re.escape(module)} has no cluster class {name_in_it}"
    with pytest.raises(UsageError, match=message):
        class_of(name)


def test_a_class_that_listens_everywhere() -> None:
    options = {"host": "0.0.0.0", "protocol": "tcp", "processes": False}
    settings = Settings(cluster="distributed.LocalCluster", cluster_options=options, workers=1)
    message = r"distributed.LocalCluster listens on 0.0.0.0:\d+, where others reach it"
    with pytest.raises(UsageError, match=message), open_cluster(settings):
        pass
