"""docs/table-format.md says what is on disk, and its examples run."""

from __future__ import annotations

import ast
import dataclasses
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from jobs import extract_corpus, make_spectrograms
from jobs.cli import cli
from jobs.diagnostics import run_log
from jobs.table.layout import label_folder
from jobs.table.metadata import FORMAT, TableMetadata
from tests.docs import tables
from tests.docs.markdown import code_blocks, titled

DOCUMENT = "docs/table-format.md"
TEXT = tables.DOCUMENT.read_text()

#: Signatures of the placeholders in the layout.
_PLACEHOLDERS = {
    "TABLE/": "",
    "<key>": r"[^/]+",
    "<label>": r"[^/]+",
    "<file>": r"[^/]+",
    "<segment>": r"\d{4,}",
    "<bucket>": r"\d{5,}",
    "<random>": r"[0-9a-f]{32}",
    "<piece>": r"\d{5,}",
    "<run id>": r"\d{8}T\d{6}\.\d{3}Z-[0-9a-f]{6}",
}


@pytest.fixture(scope="module")
def made(audio_of_examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make TABLE of the corpus music, one file of which is empty."""
    folder = tmp_path_factory.mktemp("table-format")
    shutil.copytree(audio_of_examples / "music", folder / "music")
    (folder / "music" / "rock" / "empty.wav").touch()
    extract_corpus(folder / "music", folder / "TABLE", labels="parent", cluster="inline")
    return folder


def cells(heading: str) -> Iterator[list[str]]:
    """Yield the cells of each row of the first table behind a text."""
    _, _, section = TEXT.partition(f"\n{heading}")
    assert section, heading
    table = re.search(r"\|[-|]+\|\n((?:\|.*\|\n)+)", section)
    assert table is not None
    for line in table[1].splitlines():
        yield [cell.strip() for cell in line.strip("|").split("|")]


def test_columns_are_those_of_the_code() -> None:
    assert tables.with_tables(TEXT) == TEXT, "write them: python -m tests.docs.tables"


def patterns(title: str) -> list[str]:
    """Return the regular expressions that the lines of a layout stand for."""
    found = []
    for line in titled(DOCUMENT, title).splitlines():
        pattern = line.split("   ")[0]
        for placeholder, expression in _PLACEHOLDERS.items():
            pattern = pattern.replace(placeholder, expression)
        found.append(re.sub(r"\.(parquet|png)$", r"\\.\1", pattern))
    return found


def test_every_file_of_a_table_is_in_the_layout(made: Path) -> None:
    table = made / "TABLE"
    names = [str(path.relative_to(table)) for path in table.rglob("*") if path.is_file()]
    assert len(names) == 7
    for name in names:
        assert any(re.fullmatch(pattern, name) for pattern in patterns("layout")), name


def test_every_file_of_a_table_of_images_is_in_the_layouts(made: Path) -> None:
    table = made / "PICTURES"
    make_spectrograms(made / "music", table, labels="parent", segment=0.3, cluster="inline")
    names = [str(path.relative_to(table)) for path in table.rglob("*") if path.is_file()]
    assert len(names) == 14
    known = patterns("layout") + patterns("layout of images")
    for name in names:
        assert any(re.fullmatch(pattern, name) for pattern in known), name


def test_folders_of_labels() -> None:
    for label, folder in cells("## Layout"):
        name = None if label == "*(none)*" else label.strip("`")
        assert label_folder(name) == folder.strip("`")


def test_the_format_and_the_fields_of_table_json() -> None:
    assert f"This is format {FORMAT}." in TEXT
    documented = {name.strip("`") for name, _ in cells("## `_job/table.json`")}
    assert documented == {field.name for field in dataclasses.fields(TableMetadata)}


def test_the_fields_of_run_json(made: Path) -> None:
    [summary] = (made / "TABLE" / "_job" / "runs").glob("*/run.json")
    documented = {
        name.strip("` ") for names, _ in cells("`run.json` is written") for name in names.split(",")
    }
    assert documented == json.loads(summary.read_text()).keys()


def test_events_of_the_log_are_those_of_the_code(made: Path) -> None:
    documented = {
        event.strip("`"): set(re.findall(r"`(\w+)`", fields))
        for event, fields in cells("The events of `log.jsonl` have these fields")
    }
    source = Path(run_log.__file__).read_text()
    assert documented.keys() == set(re.findall(r'"event": "(\w+)"', source))
    [log] = (made / "TABLE" / "_job" / "runs").glob("*/log.jsonl")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {line["event"] for line in lines} >= {"start", "plan", "error", "shard", "merged"}
    common = {name.strip("`") for name, _ in cells("Each line is a JSON object")}
    for line in lines:
        assert line.keys() >= common
        assert line.keys() - common <= documented[line["event"]], line


# dask's own, inside its Parquet reader
@pytest.mark.filterwarnings("ignore:(The inplace keyword|Constructing a Categorical)")
@pytest.mark.parametrize("reader", ["pandas", "pyarrow", "duckdb", "polars", "dask"])
def test_readers_read(reader: str, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each example is run as it stands, and its results are those of four files and an error."""
    monkeypatch.chdir(made)
    *statements, last = _statements(titled(DOCUMENT, reader))
    names: dict[str, object] = {}
    exec("".join(statements), names)
    frame = pd.read_parquet("TABLE/features")
    if reader == "pandas":
        exec(last, names)
        assert len(names["features"]) == 4  # type: ignore[arg-type]
        assert list(names["rock"]["path"]) == ["rock/rock.00000.wav", "rock/rock.00001.wav"]  # type: ignore[index]
        assert list(names["errors"]["error_kind"]) == ["empty"]  # type: ignore[index]
    elif reader == "pyarrow":
        exec(last, names)
        assert names["first_rows"].column_names == ["path", "label", "rms_mean"]  # type: ignore[attr-defined]
        assert names["unit"] == "Hz"
    else:
        result = eval(last, names)
        means = frame.groupby("label")["rms_mean"].mean()
        if reader == "dask":
            assert result == pytest.approx(frame["rms_mean"].mean())
        else:
            rows = [row[::2] for row in result] if reader == "duckdb" else result.rows()
            assert dict(rows) == pytest.approx(means.to_dict())


def _statements(text: str) -> list[str]:
    """Return the statements of a block; the last one may be an expression."""
    lines = text.splitlines(keepends=True)
    return ["".join(lines[n.lineno - 1 : n.end_lineno]) for n in ast.parse(text).body]


def test_every_reader_of_the_document_is_tested() -> None:
    titles = [block.title for block in code_blocks(DOCUMENT, "python")]
    assert titles == ["pandas", "pyarrow", "duckdb", "polars", "dask"]


def test_a_copy_is_a_table(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [block] = code_blocks(DOCUMENT, "sh")
    copy, extract = block.text.splitlines()
    assert copy == "cp -a TABLE COPY"
    monkeypatch.chdir(made)
    shutil.copytree("TABLE", "COPY")
    command, _, said = extract.partition("#")
    assert cli.main(command.split()[1:], standalone_mode=False) == 0
    assert said.strip() in capsys.readouterr().out
