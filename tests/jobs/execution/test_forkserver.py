"""The server that workers are forked from, and scripts whose main module workers do not import."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import fsspec
import fsspec.asyn
import psutil
import pytest

from featurelib.kernels import choice
from jobs.execution import forkserver, preload
from jobs.execution.native import ONE_THREAD
from jobs.settings import Settings
from tests.support.audio_files import write_tone
from tests.support.driver import ROOT, wait_until, wait_until_gone
from tests.support.quick import slow_but

#: Starts a process in the same way as Dask does, and prints what it says of itself.
_FORKED = """
import json, multiprocessing, os, signal, sys
from jobs.execution import forkserver
from tests.jobs.execution import forked

context = multiprocessing.get_context(forkserver.start())
queue = context.Queue()
process = context.Process(target=forked.describe, args=(queue,))
process.start()
print(json.dumps(queue.get()), flush=True)
process.join()
if "stay" in sys.argv:
    sys.stdin.read()
forkserver.stop()
"""


def run(code: str, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), **dict(options.pop("env", {}))}  # type: ignore
    line = [sys.executable, "-c", code, *arguments]
    return subprocess.run(line, env=env, capture_output=True, text=True, check=True, **options)  # type: ignore


def forked(**options: object) -> dict[str, object]:
    import json

    done = run(_FORKED, **options)
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_a_forked_process_has_everything_imported_and_nothing_running() -> None:
    found = forked()
    assert found["preloaded"] == ["distributed", "jobs.execution.task", "numba", "pandas"]
    assert found["n_threads_of_server"] == 1
    assert found["kernels"] == "compiled"
    assert found["blocked"] == [signal.SIGINT, signal.SIGTERM]
    assert found["is_collecting_garbage"]
    environment = found["environment"]
    assert isinstance(environment, dict)
    assert ONE_THREAD.items() <= environment.items()


def test_packages_of_the_current_folder_are_not_taken_for_this_one(tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "__init__.py").write_text("raise SystemExit('the wrong package')")
    code = f"import sys; sys.path.pop(0)\n{_FORKED}"  # as an installed script has it
    found = run(code, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)})
    assert '"kernels": "compiled"' in found.stdout


def test_the_server_ends_with_a_driver_that_is_killed() -> None:
    line = [sys.executable, "-c", _FORKED, "stay"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        line, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline()
        family = psutil.Process(driver.pid).children(recursive=True)
        assert any("forkserver" in " ".join(process.cmdline()) for process in family)
        driver.send_signal(signal.SIGKILL)
        wait_until_gone(family, timeout=20)


def test_stopping_leaves_no_process() -> None:
    with forkserver.serving() as method:
        assert method == forkserver.METHOD
        server = psutil.Process(forkserver._server._forkserver_pid)  # type: ignore[union-attr]
        assert server.ppid() == os.getpid()
    wait_until(lambda: not server.is_running(), "the server's end")
    forkserver.stop()  # may be called again


def test_a_worker_that_starts_too_late_does_not_start_the_server_again() -> None:
    with forkserver.serving() as method:
        late = multiprocessing.get_context(method).Process(target=print)
    with pytest.raises(ConnectionError, match="has ended"):
        late.start()
    assert forkserver._server is not None
    assert forkserver._server._forkserver_pid is None
    assert forkserver._server._preload_modules


@pytest.mark.parametrize("is_certain", [True, False])
def test_it_starts_ahead_only_of_runs_that_need_it(tmp_path: Path, is_certain: bool) -> None:
    if not is_certain:
        (tmp_path / "_job").mkdir()
        (tmp_path / "_job" / "table.json").touch()
    with forkserver.ahead_of(Settings(), str(tmp_path)):
        assert (forkserver._server._forkserver_pid is not None) == is_certain  # type: ignore[union-attr]
    assert forkserver._server._forkserver_pid is None  # type: ignore[union-attr]


def test_it_ends_with_its_last_user() -> None:
    with forkserver.serving() as method:
        assert method == forkserver.METHOD
        with forkserver.serving():
            pid = forkserver._server._forkserver_pid  # type: ignore[union-attr]
        assert psutil.pid_exists(pid)
    assert not psutil.pid_exists(pid)


def test_a_server_with_threads_is_replaced_by_one_that_has_imported_nothing(
    tmp_path: Path,
) -> None:
    thread = "import sys, threading, time\n"
    thread += "if sys.argv[0] == '-c' and 'JE_ARROW_MALLOC_CONF' in __import__('os').environ:\n"
    thread += "    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
    (tmp_path / "sitecustomize.py").write_text(thread)
    env = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    done = run(_FORKED, env=env)
    assert '"kernels": null' in done.stdout
    assert done.stderr == ""


def test_other_clusters_need_no_server(tmp_path: Path) -> None:
    for cluster in ("inline", "tcp://127.0.0.1:9"):
        with forkserver.ahead_of(Settings(cluster=cluster), str(tmp_path)):
            assert forkserver._server._forkserver_pid is None  # type: ignore[union-attr]


def test_threads_loops_and_open_file_systems_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait, name="one of ours")
    thread.start()
    assert "the thread one of ours" in preload.threads_and_loops()
    ended.set()
    thread.join()
    fsspec.filesystem("memory")
    assert "an open MemoryFileSystem" in preload.threads_and_loops()
    monkeypatch.setattr(fsspec.asyn, "loop", [object()])
    assert "the event loop of fsspec" in preload.threads_and_loops()


def test_a_process_with_threads_does_not_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preload, "threads_and_loops", lambda: ["the thread x"])
    with pytest.raises(RuntimeError, match="cannot be forked from a process with the thread x"):
        preload.preload()


_SCRIPT = """
from jobs import extract_corpus
report = extract_corpus({corpus!r}, {table!r}, workers=1)
print(report.n_files)
"""


@pytest.mark.parametrize("source", slow_but(["script"], ["script", "standard input"]))
def test_a_script_needs_no_main_guard(tmp_path: Path, source: str) -> None:
    corpus = tmp_path / "music"
    corpus.mkdir()
    write_tone(corpus / "a.wav")
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT.format(corpus=str(corpus), table=str(tmp_path / "table")))
    with script.open() as file:
        done = subprocess.run(
            [sys.executable, script if source == "script" else "-"],
            stdin=file,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")


def test_the_variables_of_kernels_have_the_names_that_kernels_give_them() -> None:
    assert (forkserver.KERNELS, forkserver.CACHE_WARNED) == (choice.VARIABLE, choice.WARNED)
