"""The command as a user sees it: help, output for people and for programs, terminals."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

import featurelib
from jobs.settings import read_config
from tests.support.audio_files import write_tone
from tests.support.light import (
    FEATURELIB,
    command,
    digest,
    features,
    invoke,
    published,
    run,
    write,
)
from tests.support.quick import slow_but

TUTORIAL = ("--preset", "tutorial-v1")
COMMANDS = (
    *("compile", "describe", "errors", "export", "extract", "families"),
    *("presets", "relocate", "show", "status", "verify"),
)


def on_terminal(*arguments: str | Path, columns: int = 80) -> tuple[int, str]:
    """Run the command on a pseudo-terminal; return its exit code and what it showed."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
    env["TERM"] = "xterm-256color"
    line = [FEATURELIB, *map(os.fspath, arguments)]
    with subprocess.Popen(line, stdin=follower, stdout=follower, stderr=follower, env=env) as child:
        os.close(follower)
        redacted = b""
        while True:
            try:
                piece = os.read(leader, 65536)
            except OSError:  # Linux says EIO when the other side is closed
                break
            if not piece:
                break
            redacted += piece
    os.close(leader)
    return child.returncode, redacted.decode()


def output(*arguments: str | Path) -> str:
    result = invoke(*arguments)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a corpus and its table."""
    top = tmp_path_factory.mktemp("cli")
    for name in ("rock/a.wav", "rock/b.wav", "01/c.wav"):
        write(top / "music" / name)
    write(top / "music" / "rock" / "\x1b[31mred\x07,\n.wav", "bad \x1b]0;title\x07")
    write(top / "music" / "cover.jpg")
    run(top / "music", top / "table", labels="parent")
    return top


# help


def test_help_needs_no_heavy_library() -> None:
    lines = [["--help"], ["-h"], *([name, "--help"] for name in COMMANDS)]
    code = f"""
import sys
from jobs.cli import main
for line in {lines!r}:
    try:
        main(line)
    except SystemExit as end:
        assert not end.code
heavy = {{"dask", "distributed", "librosa", "numba", "numpy", "pandas", "pyarrow", "s3fs"}}
print(sorted(heavy & sys.modules.keys()), file=sys.stderr)
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stderr == "[]\n"
    assert result.stdout.count("Usage: featurelib") == len(lines)
    assert all(len(line) <= 80 for line in result.stdout.splitlines() if "--output" not in line)


def test_help_has_examples_and_exit_codes() -> None:
    text = output("extract", "--help")
    assert "featurelib extract music/ --output features/ --labels parent" in text
    for code in (0, 1, 2, 3, 4, 75, 130, 143):
        assert re.search(rf"^    {code:<5}\w", text, re.MULTILINE)
    top = output("--help")
    assert "Examples:" in top
    assert all(f"\n  {name} " in top for name in COMMANDS)
    assert "...\n" not in top.partition("Commands:")[2]  # no command's line is cut
    assert output() == top
    assert top.index("Commands:") < top.index("  featurelib status features/\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_are_one_a_line(name: str) -> None:
    text = output(name, "--help")
    assert "\\b" not in text
    assert len(re.findall(r"^ +featurelib ", text, re.MULTILINE)) == text.count("  featurelib ")


def test_the_version() -> None:
    result = command("--version")
    assert (result.returncode, result.stderr) == (0, "")
    assert metadata.version("featurelib") in result.stdout


# presets, describe, show


def test_presets() -> None:
    lines = output("presets").splitlines()
    by_name = {line.split()[0]: line for line in lines[:-1]}
    assert list(by_name) == list(featurelib.PRESETS)
    assert by_name["genre-v1"].split()[1:5] == ["98", "columns", "22050", "Hz"]
    assert by_name["fma-v1"].split()[1:6] == ["518", "columns", "each", "file's", "rate"]
    for name, line in by_name.items():
        assert line.endswith(featurelib.preset_description(name))
    found = json.loads(output("presets", "--json"))
    for name in featurelib.PRESETS:
        assert featurelib.FeatureSpec.from_dict(found[name]) == featurelib.get_spec(name)


def test_describe_for_programs() -> None:
    described = featurelib.describe("genre-v1")
    found = json.loads(output("describe", "genre-v1", "--json"))
    assert found == [vars(column) for column in described]
    assert list(csv.DictReader(io.StringIO(output("describe", "genre-v1", "--csv")))) == found


def test_describe_fits_a_terminal_and_cuts_nothing() -> None:
    code, redacted = on_terminal("describe", "genre-v1", columns=80)
    assert code == 0
    assert all(len(line) <= 80 for line in redacted.splitlines())
    words = "".join(redacted.split())
    for column in featurelib.describe("genre-v1"):
        assert "".join(column.definition.split()) in words
        if column.librosa != "none":
            assert "".join(column.librosa.split()) in words


def test_show(tmp_path: Path) -> None:
    file = write_tone(tmp_path / "a b.wav", seconds=0.5)
    expected = featurelib.extract(str(file), "tutorial-v1").iloc[0]
    lines = dict(line.split(maxsplit=1) for line in output("show", file, *TUTORIAL).splitlines())
    assert lines.keys() == set(expected.index)
    assert lines["sample_rate_hz"] == "22050"
    [in_csv] = csv.DictReader(io.StringIO(output("show", file, *TUTORIAL, "--csv")))
    [in_json] = json.loads(output("show", file, *TUTORIAL, "--json"))
    for name in featurelib.feature_names("tutorial-v1"):
        assert float(lines[name]) == pytest.approx(expected[name], rel=1e-6)
        assert float(in_csv[name]) == pytest.approx(expected[name], rel=1e-6)
        assert in_json[name] == pytest.approx(expected[name], rel=1e-6, abs=1e-14)


def test_show_of_series_and_several_rows(tmp_path: Path) -> None:
    file = write_tone(tmp_path / "a.wav", seconds=3.0)
    config = write(
        tmp_path / "c.toml",
        '[spec]\nname = "s"\nlevel = { length_s = 2.0 }\n'
        '[[spec.features]]\nfamily = "mfcc"\nstatistics = ["series"]\n',
    )
    spec = featurelib.spec_from_settings(read_config(str(config))[0], tmp_path)
    expected = np.stack(featurelib.extract(str(file), spec)["mfcc_series"][0])

    result = invoke("show", file, "--config", config)
    lines = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert lines["channel"] == "null"
    assert str(expected.shape) in lines["mfcc_series"]
    assert "first of 2 rows" in result.stderr

    rows = list(csv.DictReader(io.StringIO(output("show", file, "--config", config, "--csv"))))
    assert len(rows) == 2
    np.testing.assert_allclose(json.loads(rows[0]["mfcc_series"]), expected, rtol=1e-6)


# status and errors


def test_status(place: Path) -> None:
    text = output("status", place / "table")
    lines = dict(line.split(maxsplit=1) for line in text.splitlines() if line[0] != " ")
    assert lines["table"] == str(place / "table")
    assert lines["rows"] == "3"
    assert lines["errors"] == "1 (1 undecodable)"
    assert lines["rerun"] == "4 unchanged"
    found = json.loads(output("status", place / "table", "--json"))
    assert (found["n_rows"], found["errors"]) == (3, {"undecodable": 1})
    assert {"label": "01", "files": 1} in found["labels"]


def test_errors_for_programs(place: Path) -> None:
    [in_csv] = csv.DictReader(io.StringIO(output("errors", place / "table", "--csv"), newline=""))
    [in_json] = json.loads(output("errors", place / "table", "--json"))
    assert in_csv["path"] == in_json["path"] == "rock/\x1b[31mred\x07,\n.wav"
    assert in_csv["error_kind"] == in_json["error_kind"] == "undecodable"
    assert in_json["error_class"] == "content"


@pytest.mark.parametrize("options", [(), ("--csv",), ("--json",)])
def test_names_do_not_steer_a_terminal(place: Path, options: tuple[str, ...]) -> None:
    code, redacted = on_terminal("errors", place / "table", *options)
    assert code == 0
    assert "red" in redacted
    assert "\x1b[31m" not in redacted
    assert "\x1b]0" not in redacted
    assert "\x07" not in redacted
    if not options:
        assert "\x1b" not in output("errors", place / "table")


def test_a_table_without_errors(tmp_path: Path) -> None:
    write(tmp_path / "music" / "a.wav")
    run(tmp_path / "music", tmp_path / "t")
    assert output("errors", tmp_path / "t") == "No errors\n"
    assert json.loads(output("errors", tmp_path / "t", "--json")) == []
    assert output("errors", tmp_path / "t", "--csv").startswith("path,label,")


def test_a_reader_that_has_enough(place: Path) -> None:
    for arguments in ("describe genre-v1", f"errors {place}/table --json"):
        line = f"{FEATURELIB} {arguments} | head -c 10"
        result = subprocess.run(line, shell=True, capture_output=True, text=True, check=True)
        assert len(result.stdout) == 10
        assert result.stderr == ""


# extract


@pytest.mark.slow
def test_a_run_on_a_terminal_and_off_it(tmp_path: Path) -> None:
    """Run a cluster twice: with a bar, and with plain lines."""
    for i in range(3):
        write_tone(tmp_path / "music" / "rock" / f"{i}.wav", 220 * (i + 1), seconds=0.3)
    write(tmp_path / "music" / "rock" / "text.mp3", "no music")
    arguments = ("extract", tmp_path / "music", "-o", tmp_path / "my table", "--workers", "1")
    code, redacted = on_terminal(*arguments, *TUTORIAL)
    assert code == 0, redacted
    assert "extracting" in redacted
    assert "\x1b[" in redacted
    assert "4/4" in redacted
    assert "Done: 4 new" in redacted
    assert "1 of 4 files failed: 1 undecodable" in redacted
    assert f"See why: featurelib errors '{tmp_path}/my table'" in redacted
    assert "Traceback" not in redacted

    write_tone(tmp_path / "music" / "rock" / "new.wav", 330, seconds=0.3)
    result = command(*arguments, *TUTORIAL)
    assert result.returncode == 0
    assert result.stderr.splitlines() == ["extracting: 1 files"]
    assert result.stdout.splitlines() == [
        "Done: 1 new",
        f"{tmp_path}/my table: 4 files with features, 1 failed",
    ]
    assert len(features(tmp_path / "my table")) == 4
    again = command(*arguments, *TUTORIAL, "--quiet")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


@pytest.mark.slow
@pytest.mark.parametrize("closed", slow_but(["<&- >&- 2>&-"], ["2>&-", "<&- >&- 2>&-"]))
def test_a_run_with_nowhere_to_write(tmp_path: Path, closed: str) -> None:
    write_tone(tmp_path / "music" / "a.wav", seconds=0.3)
    line = f'exec "$@" {closed}'
    arguments = ("extract", tmp_path / "music", "-o", tmp_path / "table", "--workers", "1")
    result = subprocess.run(["sh", "-c", line, "sh", FEATURELIB, *arguments, *TUTORIAL])
    assert result.returncode == 0
    assert features(tmp_path / "table")["path"].to_pylist() == ["a.wav"]


def test_what_a_run_prints_for_programs(place: Path) -> None:
    arguments = ("extract", place / "music", "-o", place / "table", *TUTORIAL)
    text = output(*arguments, "--labels", "parent", "--json")
    found = json.loads(text)
    assert found["status"] == "done"
    assert found["planned"]["unchanged"] == 4
    assert (found["rows"], found["errors"], found["read"]) == (3, 1, 0)
    assert found["passed_over"] == {"not audio": 1}


def test_a_run_that_is_held_back(place: Path) -> None:
    table = place / "table"
    before = published(table)
    line = ("extract", place / "music", "-o", table, *TUTORIAL, "--labels", "parent")
    line += ("--include", "01/*", "--delete-missing")
    result = invoke(*line)
    assert (result.returncode, result.stdout) == (3, "")
    [text] = result.stderr.splitlines()
    assert text.startswith("Nothing was published: 3 of the table's 4 files are gone")
    assert "--max-deleted" in text
    assert invoke(*line, "--quiet").stderr == result.stderr
    in_json = invoke(*line, "--json")
    assert (in_json.returncode, in_json.stderr) == (3, "")
    assert json.loads(in_json.stdout)["status"] == "held"
    dry = invoke(*line, "--dry-run")
    assert dry.returncode == 0
    assert "Nothing would be published" in dry.stdout
    assert published(table) == before


def test_a_dry_run_writes_nothing(place: Path, tmp_path: Path) -> None:
    write(tmp_path / "new.csv", "path,label\n/x/y.wav,rock\n")
    before = digest(place, tmp_path)
    redacted = output(
        "extract", place / "music", "-o", tmp_path / "t", "--labels", "parent", "-q", "--dry-run"
    )
    assert "        4  new\n" in redacted
    assert "passed over: not audio" in redacted
    line = ("extract", place / "music", "-o", place / "table", *TUTORIAL, "--dry-run")
    assert "4  unchanged" in output(*line, "--labels", "parent")
    assert json.loads(output(*line, "--labels", "parent", "--json"))["status"] == "planned"
    assert digest(place, tmp_path) == before


def test_a_file_of_settings(place: Path, tmp_path: Path) -> None:
    file = write(
        tmp_path / "settings.toml",
        '[spec]\npreset = "tutorial-v1"\n[run]\nlabels = "parent"\ninclude = ["01/*"]\n',
    )
    line = ("extract", place / "music", "-o", place / "table", "--config", file, "--json")
    found = json.loads(output(*line))
    assert (found["planned"]["unchanged"], found["planned"]["missing"]) == (1, 3)
    found = json.loads(output(*line, "--include", "rock/*"))  # the command line goes first
    assert found["planned"]["unchanged"] == 3
    changed = write(tmp_path / "changed.toml", '[spec]\npreset = "tutorial-v1"\nduration = 5.0\n')
    result = invoke("extract", place / "music", "-o", place / "table", "--config", changed)
    assert result.returncode == 2
    assert "duration: 30.0 → 5.0" in result.stderr


def test_names_that_look_like_options(tmp_path: Path) -> None:
    write(tmp_path / "-q" / "a.wav")
    result = command("extract", "--dry-run", "-o", "-t", "--", "-q", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, "        1  new\n")
