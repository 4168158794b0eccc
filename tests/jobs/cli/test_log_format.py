"""Standard error in JSON, for `kubectl logs` and what collects logs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.audio_files import make_corpus
from tests.support.driver import running, wait_until
from tests.support.light import FEATURELIB, invoke, write


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def extract(folder: Path, *options: str) -> Any:
    return invoke(
        *("extract", folder / "music", "--output", folder / "t", "--cluster", "inline"),
        *("--log-format", "json", *options),
    )


def test_standard_error_has_the_lines_of_the_log(tmp_path: Path) -> None:
    make_corpus(tmp_path / "music", {"rock": 2})
    write(tmp_path / "music" / "rock" / "bad.wav", "no audio")
    result = extract(tmp_path)
    assert result.returncode == 0
    assert "3 new" in result.stdout
    found = lines_of(result.stderr)
    [log] = (tmp_path / "t" / "_job" / "runs").glob("*/log.jsonl")
    logged = lines_of(log.read_text())
    assert [{**line, "time": ""} for line in found] == [{**line, "time": ""} for line in logged]
    assert {line["run"] for line in found} == {log.parent.name}
    [error] = [line for line in found if line["event"] == "error"]
    assert (error["path"], error["kind"]) == ("rock/bad.wav", "undecodable")
    [shard] = [line for line in found if line["event"] == "shard" and line["errors"]]
    assert error["shard"] == shard["shard"]


def test_an_error_is_one_line_at_the_end(tmp_path: Path) -> None:
    make_corpus(tmp_path / "music", {"rock": 1})
    extract(tmp_path)
    write(tmp_path / "music" / "more.wav", "no audio")
    result = extract(tmp_path, "--max-failed", "0")
    assert (result.returncode, result.stdout) == (3, "")
    *before, last = lines_of(result.stderr)
    assert last["event"] == "held"
    assert not any(line["event"] == "end" for line in before)  # the reason is told once
    assert "Nothing was published" in last["text"]

    (tmp_path / "music").rename(tmp_path / "away")
    result = extract(tmp_path)
    [line] = lines_of(result.stderr)
    assert result.returncode == line["exit_code"] == 1
    assert (line["event"], line["level"], line["run"]) == ("failed", "error", None)
    assert "there is no folder" in line["message"]


@pytest.mark.parametrize("options", [["--log-format", "json"], ["--log-format=json"]])
def test_wrong_options_are_told_in_json_too(options: list[str]) -> None:
    result = invoke("extract", "music", "--output", "t", *options, "--bogus")
    [line] = lines_of(result.stderr)
    assert result.returncode == line["exit_code"] == 2
    assert "--bogus" in line["message"]


def test_quiet_leaves_errors_alone(tmp_path: Path) -> None:
    make_corpus(tmp_path / "music", {"rock": 1})
    result = extract(tmp_path, "--quiet")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_an_unknown_format() -> None:
    result = invoke("extract", "music", "--output", "t", "--log-format", "xml")
    assert result.returncode == 2
    assert result.stderr.startswith("featurelib: invalid value for '--log-format'")


def test_secrets_are_hidden(tmp_path: Path) -> None:
    make_corpus(tmp_path / "music", {"rock": 1})
    result = extract(tmp_path, "--storage-option", "table:secret=xyzzy-token", "--debug")
    assert "xyzzy-token" not in result.stderr


@pytest.mark.slow
def test_a_run_that_is_terminated_says_so_once(tmp_path: Path) -> None:
    make_corpus(tmp_path / "music", {"rock": 400}, seconds=5.0)
    line = [FEATURELIB, "extract", str(tmp_path / "music"), "--output", str(tmp_path / "t")]
    with running([*line, "--workers", "1", "--log-format", "json"], tmp_path) as command:
        wait_until(lambda: '"event": "shard"' in command.stderr, "a shard is done")
        command.process.terminate()
        assert command.wait() == 143
    failed = [line for line in lines_of(command.stderr) if line["event"] == "failed"]
    assert [line["exit_code"] for line in failed] == [143]
    assert failed[0]["run"] is not None
