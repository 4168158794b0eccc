"""Commands at the end of a run: --on-success and --on-failure."""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

import jobs.diagnostics.hooks
import jobs.execution.opening
import jobs.request
from jobs import extract_corpus, predict
from jobs.diagnostics.run_report import RunReport
from jobs.errors import CorpusError, UsageError
from jobs.request import RunRequest
from jobs.runs import table_runs
from jobs.storage.opening import open_store
from jobs.table.lock import write_lock
from tests.support import doubles, driver, light
from tests.support.doubles import Gate
from tests.support.driver import wait_until
from tests.support.quick import slow_but
from tests.support.tables import write_files


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a corpus whose files say what happens; the command takes them so."""
    extracting = functools.partial(RunRequest, extractor=doubles.by_content)
    monkeypatch.setattr(jobs.request, "RunRequest", extracting)
    monkeypatch.setattr(jobs.execution.opening, "executor_opener", lambda *_, **__: light.inline)
    return write_files(tmp_path / "corpus", {"a.wav": "play a", "b.wav": "play b", "c.wav": "bad"})


def hook(corpus: Path, name: str, then: str = "") -> str:
    """Return a command that keeps the environment and its input in files, and says its name."""
    to = corpus.parent / name
    return f"env -0 > '{to}.env'; cat > '{to}.json'; echo 'said by {name}'; {then}"


def both(corpus: Path) -> tuple[str, ...]:
    return ("--on-success", hook(corpus, "success"), "--on-failure", hook(corpus, "failure"))


def told(corpus: Path, name: str) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the facts in the environment of a hook, and the report on its input."""
    text = (corpus.parent / f"{name}.env").read_text()
    pairs = (pair.split("=", 1) for pair in text.split("\0") if pair.startswith("FEATURELIB_"))
    ours = {key: value for key, value in pairs if key not in os.environ}
    facts = {key.removeprefix("FEATURELIB_"): value for key, value in ours.items()}
    return facts, json.loads((corpus.parent / f"{name}.json").read_text())


def extract(corpus: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return light.invoke(
        *("extract", corpus, "-o", corpus.parent / "table", "--preset", "tutorial-v1", *options)
    )


def hooks_started(corpus: Path) -> list[str]:
    return sorted(path.stem for path in corpus.parent.glob("*.env"))


def test_after_success(corpus: Path, capfd: pytest.CaptureFixture[str]) -> None:
    done = extract(corpus, "--json", *both(corpus))
    assert (done.returncode, hooks_started(corpus)) == (0, ["success"])
    facts, report = told(corpus, "success")
    assert report == json.loads(done.stdout)  # which the hook has not written to
    assert capfd.readouterr().err == "said by success\n"
    seconds, run_id = facts.pop("SECONDS"), facts.pop("RUN_ID")
    assert int(seconds) >= 0
    assert run_id == report["run_id"] == table_runs(facts["TABLE"], {})[0].run_id
    assert facts == {
        "TABLE": str(corpus.parent / "table"),
        "STATUS": "done",
        "EXIT_CODE": "0",
        "REASON": "",
        "NEW": "3",
        "CHANGED": "0",
        "DELETED": "0",
        "READ": "3",
        "FAILED": "1",
    }


def test_the_variables_are_documented() -> None:
    text = (Path(__file__).parents[3] / "deploy" / "README.md").read_text()
    _, _, table = text.partition("| variable | value |")
    documented = set(re.findall(r"`(FEATURELIB_\w+)`", table.partition("\n\n")[0]))
    assert documented == jobs.diagnostics.hooks._environment(RunReport("", "")).keys()


@pytest.mark.parametrize(
    ("files", "options", "code", "reason"),
    [
        ({}, ["--include", "*.flac"], 1, "no audio files"),
        ({}, ["--preset", "nothing"], 2, "unknown preset 'nothing'"),
        ({}, ["--max-failed", "0.1"], 3, "max-failed"),
        ({"d.wav": "unreadable"}, [], 4, "1 of 4 files could not be read (d.wav:"),
    ],
)
def test_after_failure(
    files: dict[str, str], options: list[str], code: int, reason: str, corpus: Path
) -> None:
    write_files(corpus, files)
    assert extract(corpus, *options, *both(corpus)).returncode == code
    assert hooks_started(corpus) == ["failure"]
    facts, report = told(corpus, "failure")
    assert (facts["EXIT_CODE"], report["exit_code"]) == (str(code), code)
    assert reason in facts["REASON"]
    assert (facts["STATUS"] == "done") == (code == 4)


def test_where_another_run_writes(corpus: Path) -> None:
    assert extract(corpus).returncode == 0
    with write_lock(open_store(str(corpus.parent / "table")), "another"):
        assert extract(corpus, *both(corpus)).returncode == 75
    facts, report = told(corpus, "failure")
    assert (facts["EXIT_CODE"], facts["RUN_ID"], report["run_id"]) == ("75", "", "")
    assert "written by run another" in facts["REASON"]


@pytest.mark.parametrize(
    ("number", "code"),
    slow_but(
        [(signal.SIGTERM, 143)],
        [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)],
    ),
)
def test_after_a_signal(number: signal.Signals, code: int, corpus: Path) -> None:
    """SIGKILL leaves nobody who could start a command."""
    gate = Gate(corpus.parent / "gate")
    write_files(corpus, {"d.wav": f"gate {gate.folder}"})
    arguments = ("extract", corpus, "-o", corpus.parent / "table", "--preset", "tutorial-v1")
    with driver.started(
        *arguments, *both(corpus), folder=corpus.parent, options=("--inline",)
    ) as command:
        wait_until(lambda: gate.pids or not command.is_running, "a file at the gate")
        os.kill(command.process.pid, number)
        assert command.wait() == code, command.stderr
    assert hooks_started(corpus) == ([] if code == -9 else ["failure"])
    if code != -9:
        facts, _ = told(corpus, "failure")
        assert (facts["EXIT_CODE"], facts["STATUS"]) == (str(code), "interrupted")
        assert facts["RUN_ID"] == table_runs(facts["TABLE"], {})[0].run_id


def test_not_for_a_plan(corpus: Path) -> None:
    assert extract(corpus, "--dry-run", *both(corpus)).returncode == 0
    assert extract(corpus, "--dry-run", "--include", "*.flac", *both(corpus)).returncode == 1
    assert hooks_started(corpus) == []


def test_one_that_fails_changes_no_exit_code(corpus: Path) -> None:
    with pytest.warns(UserWarning, match=r"^the command of --on-success ended with exit code 7$"):
        assert extract(corpus, "--on-success", "exit 7").returncode == 0
    with pytest.warns(UserWarning, match=r"^the command of --on-failure ended with exit code 127$"):
        assert extract(corpus, "--preset", "x", "--on-failure", "no-such-thing").returncode == 2
    with pytest.warns(UserWarning, match=r"^the command of --on-success was ended by signal 9$"):
        assert extract(corpus, "--on-success", "kill -9 $$").returncode == 0


def test_one_that_hangs_is_killed_with_its_children(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs.diagnostics.hooks, "TIMEOUT_S", 0.5)
    pid = corpus.parent / "pid"
    with pytest.warns(UserWarning, match=r"took longer than 0.5 s and was killed"):
        done = extract(corpus, "--on-success", f"sleep 600 & echo $! > '{pid}'; wait")
    assert done.returncode == 0
    wait_until(lambda: not _runs(int(pid.read_text())), "the end of the child")


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_one_that_reads_nothing_of_a_long_report(corpus: Path) -> None:
    """Its input is larger than a pipe."""
    write_files(corpus, {f"{i}.{i}": "" for i in range(6000)})
    with pytest.warns(UserWarning, match="exit code 9"):
        assert extract(corpus, "--on-success", "exit 9").returncode == 0


def test_it_is_in_no_log_and_in_no_process_s_arguments(corpus: Path) -> None:
    secret = "T0KEN-of-a-webhook"
    listed = corpus.parent / "processes"
    command = f"true {secret}; ps -e -o args > '{listed}'"
    done = extract(corpus, "--on-success", command, "--on-failure", f"true {secret}")
    assert (done.returncode, secret in listed.read_text()) == (0, False)
    texts = [path.read_bytes() for path in corpus.parent.rglob("*") if path.is_file()]
    assert not any(secret.encode() in text for text in texts)


def test_secrets_of_storage_are_not_told(corpus: Path) -> None:
    done = extract(
        corpus,
        *("--preset", "wrong-s3cret-preset", "--storage-option", "corpus:secret=s3cret"),
        *both(corpus),
    )
    assert done.returncode == 2
    facts, report = told(corpus, "failure")
    assert "wrong-***-preset" in facts["REASON"]
    assert "wrong-***-preset" in report["reason"]


def test_in_a_settings_file_and_for_spectrograms(corpus: Path) -> None:
    settings = corpus.parent / "settings.toml"
    settings.write_text(f'[run]\non_failure = """{hook(corpus, "failure")}"""\n')
    assert extract(corpus, "--config", str(settings), "--preset", "nothing").returncode == 2
    assert hooks_started(corpus) == ["failure"]
    line = ("spectrograms", corpus, "-o", corpus.parent / "pictures", "--width", "0")
    other = corpus.parent / "corpus"
    assert light.invoke(*line, "--on-failure", hook(other, "pictures")).returncode == 2
    assert hooks_started(corpus) == ["failure", "pictures"]


def test_in_python(corpus: Path) -> None:
    table = corpus.parent / "table"
    with pytest.raises(CorpusError):
        extract_corpus(
            corpus,
            table,
            include=["*.flac"],
            cluster="inline",
            on_failure=hook(corpus, "failure"),
        )
    facts, _ = told(corpus, "failure")
    assert (facts["EXIT_CODE"], facts["STATUS"]) == ("1", "failed")
    with pytest.raises(UsageError, match="on_success and on_failure are for runs that write"):
        predict("a.model", corpus, on_failure="true")
