"""The same corpus gives the same table in every locale, of the driver and of its workers."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import pty
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.diagnostics.events import Observer
from jobs.execution.context import TaskContext
from jobs.execution.executor import InlineExecutor
from jobs.execution.results import ShardResult
from jobs.execution.sharding import Shard
from jobs.run import run_job
from jobs.status import table_status
from jobs.storage.base import Store
from jobs.storage.names import decode_local
from jobs.table.changes import Change
from tests.conftest import S3
from tests.support.audio_files import write_tone
from tests.support.light import FEATURELIB, command, errors, labels, request, run, write
from tests.support.quick import slow_but
from tests.support.tables import write_labels

FILES = {
    "français/Édith.wav": "français",
    "pop/日本.wav": "pop",
    "pop/plain.wav": "pop",
    r"\xe9t\xe9/1.wav": r"\xe9t\xe9",
}
"""Stored paths and their labels; the last one's bytes are ISO-8859-1 on the disk."""

_ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
_UTF8 = {"LC_ALL": "C.UTF-8"}
_LOCALE_VARIABLES = ("LC_", "LANG", "PYTHONUTF8", "PYTHONCOERCECLOCALE", "PYTHONIOENCODING")


def environment(variables: dict[str, str]) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_LOCALE_VARIABLES)}
    return {**kept, **variables}


@pytest.fixture(scope="module")
def latin1(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Give the variables of a locale in ISO-8859-1, which is made for the tests."""
    folder = tmp_path_factory.mktemp("locales")
    if shutil.which("localedef") is None:
        pytest.skip("no localedef")
    line = ["localedef", "-i", "de_DE", "-f", "ISO-8859-1", str(folder / "de_DE")]
    made = subprocess.run(line, capture_output=True, text=True, check=False)
    if not (folder / "de_DE").is_dir():
        pytest.skip(f"localedef makes no locale: {made.stderr.strip()}")
    return {"LOCPATH": str(folder), "LC_ALL": "de_DE"}


@pytest.fixture(params=slow_but(["ascii"], ["ascii", "latin-1"]))
def other(request: pytest.FixtureRequest) -> dict[str, str]:
    """Give the environment of a process in a locale that is not UTF-8."""
    if request.param == "ascii":
        return environment(_ASCII)
    return environment(request.getfixturevalue("latin1"))


@pytest.fixture
def music(tmp_path: Path) -> Path:
    for path in FILES:
        write(tmp_path / "musique é" / decode_local(path))
    return tmp_path / "musique é"


def python(
    code: str, env: dict[str, str], arguments: Sequence[str] = (), **options: Any
) -> subprocess.CompletedProcess[bytes]:
    """Run Python in the locale's encoding, as a user's own program does."""
    line = [sys.executable, "-c", code, *arguments]
    return subprocess.run(line, env=env, capture_output=True, check=True, **options)


def from_python(arguments: list[str], settings: str, env: dict[str, str]) -> dict[str, int]:
    """Run the job from Python in another locale and return what was planned."""
    code = f"""
import json, sys
from tests.support.light import run
assert sys.getfilesystemencoding() != "utf-8"
print(json.dumps(run(*sys.argv[1:], {settings}).to_dict()["planned"]))
"""
    planned = json.loads(python(code, env, arguments).stdout)
    return {name: n for name, n in planned.items() if n}


@pytest.mark.slow
def test_from_python(music: Path, tmp_path: Path, other: dict[str, str]) -> None:
    table = tmp_path / "tablé"
    planned = from_python([str(music), str(table)], "labels='parent'", other)
    assert planned == {"new": len(FILES)}
    assert labels(table) == FILES
    assert errors(table) == {}
    assert table_status(str(table), {}).rerun["unchanged"] == len(FILES)
    assert run(music, table, labels="parent").counts == {Change.UNCHANGED: len(FILES)}
    planned = from_python([str(music), str(table)], "labels='parent'", other)
    assert planned == {"unchanged": len(FILES)}


def test_a_glob_from_python(music: Path, tmp_path: Path, other: dict[str, str]) -> None:
    pattern = f"{music}/fran*/É*.wav"
    assert from_python([pattern, str(tmp_path / "t")], "", other) == {"new": 1}
    assert set(labels(tmp_path / "t")) == {"français/Édith.wav"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["listé.txt", "listé.csv", "listé.parquet"])
def test_lists(music: Path, tmp_path: Path, other: dict[str, str], name: str) -> None:
    raw = [b"\xe9t\xe9/1.wav", "français/Édith.wav".encode()]
    if name.endswith(".parquet"):
        pq.write_table(pa.table({"path": pa.array(raw, pa.binary())}), music / name)
    elif name.endswith(".csv"):
        write(music / name, "path\n\\xe9t\\xe9/1.wav\nfrançais/Édith.wav\n")
    else:
        (music / name).write_bytes(b"\n".join(raw))
    assert from_python([f"{music}/{name}", str(tmp_path / "t")], "", other) == {"new": 2}
    assert set(labels(tmp_path / "t")) == {r"\xe9t\xe9/1.wav", "français/Édith.wav"}
    assert run(music / name, tmp_path / "t").counts == {Change.UNCHANGED: 2}


_WORKER = """
import pickle, sys
from jobs.execution.task import extract_shard
sys.stdout.buffer.write(pickle.dumps(extract_shard(*pickle.load(sys.stdin.buffer))))
"""


@pytest.mark.slow
def test_a_worker_in_another_locale(music: Path, tmp_path: Path, other: dict[str, str]) -> None:
    class Elsewhere(InlineExecutor):
        def run(
            self, job: TaskContext, shards: Iterable[Shard], table: Store, notify: Observer
        ) -> Iterator[ShardResult]:
            for shard in shards:
                told = pickle.dumps((job, shard))
                yield pickle.loads(python(_WORKER, other, input=told).stdout)

    job = request(music, tmp_path / "tablé", labels="parent")
    run_job(job, lambda: contextlib.nullcontext(Elsewhere()))
    assert labels(tmp_path / "tablé") == FILES
    assert errors(tmp_path / "tablé") == {}


@pytest.mark.slow
def test_the_command(tmp_path: Path) -> None:
    music, table = tmp_path / "musique é", tmp_path / "tablé"
    write_tone(music / "français" / "Édith.wav", seconds=0.3)
    write(music / "pop" / "bad 日.wav", "bad")
    write(music / "nicht-ü" / "x.wav", "bad")
    file = write_labels(tmp_path / "étiquettes.csv", {"français/Édith.wav": "é"})
    config = write(tmp_path / "config.toml", f'[run]\nlabels = "{file}"\nexclude = ["nicht-ü/*"]\n')
    line = ["extract", music, "-o", table, "--config", config, "--workers", "1"]
    done = command(*line, env=environment(_ASCII))
    assert done.returncode == 0, done.stderr
    assert labels(table) == {"français/Édith.wav": "é"}
    assert set(errors(table)) == {"pop/bad 日.wav"}

    for variables in (_ASCII, _UTF8):
        env = environment(variables)
        status = command("status", table, "--json", env=env)
        assert json.loads(status.stdout)["rerun"]["unchanged"] == 2
        redacted = command("errors", table, "--csv", env=env, encoding="utf-8")
        assert "pop/bad 日.wav," in redacted.stdout


@pytest.mark.slow
def test_urls_and_patterns_on_the_command_line(s3: S3, other: dict[str, str]) -> None:
    bucket = s3.bucket()
    for key in ("musique é/français/1.wav", "musique é/pop/2.wav"):
        s3.client.put_object(Bucket=bucket, Key=key, Body=b"x")
    line = [f"s3://{bucket}/musique é", "-o", f"s3://{bucket}/t", "--include", "français/*"]
    done = command("extract", *line, "--dry-run", "--json", env={**other, **s3.env})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["planned"]["new"] == 1


def on_a_terminal(arguments: list[str], env: dict[str, str]) -> bytes:
    ours, its = pty.openpty()
    with subprocess.Popen(
        [FEATURELIB, *arguments], env=env, stdin=its, stdout=its, stderr=its
    ) as child:
        os.close(its)
        said = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # the child has ended
                break
            said += piece
        os.close(ours)
    assert child.returncode == 0, said
    return said


@pytest.mark.slow
def test_a_terminal_that_is_not_utf_8(tmp_path: Path, latin1: dict[str, str]) -> None:
    for name in ("é.wav", "日.wav"):
        write(tmp_path / "music" / name, "bad")
    run(tmp_path / "music", tmp_path / "t")
    said = on_a_terminal(["errors", str(tmp_path / "t")], environment(latin1))
    assert "é.wav".encode("latin-1") in said
    assert rb"\u65e5.wav" in said
    said = on_a_terminal(["errors", str(tmp_path / "t")], environment({"LC_ALL": "C"}))
    assert "日.wav".encode() in said


def test_a_name_that_no_file_can_have_in_this_process(tmp_path: Path) -> None:
    code = r"""
from jobs import JobError, extract_corpus
for corpus, table in (("m\xfasica", "t"), ("music", "t\xe9"), ("m\xfasica/*.wav", "t")):
    try:
        extract_corpus(corpus, table)
    except JobError as error:
        print(ascii(str(error)))
"""
    said = python(code, environment(_ASCII), cwd=tmp_path, text=True).stdout
    assert said.count("cannot be a file's name in this process, where names are ascii") == 3
    assert said.count("PYTHONUTF8=1") == 3
