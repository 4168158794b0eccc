"""Pages of tables of all kinds: what is on them, and when they appear."""

from __future__ import annotations

import html
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import featurelib
from jobs import JobError, write_report
from jobs.errors import TableError, UsageError
from jobs.report.health import Finding
from jobs.report.page import safe_json
from jobs.report.writing import Page
from tests.conftest import S3
from tests.jobs.report import tables
from tests.support.audio_files import write_audio

SECTIONS = [
    *("overview", "health", "errors", "contents", "labels", "map", "features"),
    *("correlations", "runs", "about"),
]


class Parsed(HTMLParser):
    """A page as a browser takes it apart: elements, attributes, text, data."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self._inside = ""
        self.feed(text)
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts.append(data)
        elif self._inside != "style":
            self.words.append(data)

    @property
    def data(self) -> dict:
        return json.loads(self.scripts[0])


def page_of(table: Path, folder: Path) -> Parsed:
    write_report(table, folder / "report.html")
    return Parsed((folder / "report.html").read_text("utf-8"))


@pytest.fixture(scope="module")
def page(small_table: Path, tmp_path_factory: pytest.TempPathFactory) -> Parsed:
    return page_of(small_table, tmp_path_factory.mktemp("page"))


def test_each_section_is_there_and_in_the_contents(page: Parsed) -> None:
    ids = [value for tag, name, value in page.attributes if tag == "section" and name == "id"]
    links = [value for tag, name, value in page.attributes if tag == "a" and name == "href"]
    assert ids == SECTIONS
    assert set(links) >= {f"#{name}" for name in SECTIONS}
    all_ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(all_ids) == len(set(all_ids))
    assert {link[1:] for link in links} <= set(all_ids)


def test_nothing_is_loaded_from_elsewhere(page: Parsed) -> None:
    loading = {"src", "srcset", "data", "action", "poster", "background", "style"}
    assert not [a for a in page.attributes if a[1] in loading or a[1].startswith("on")]
    assert "link" not in page.tags
    [policy] = [v for tag, name, v in page.attributes if name == "content" and "default-src" in v]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_the_same_table_gives_the_same_bytes(
    small_table: Path, tmp_path: Path, page: Parsed
) -> None:
    for name in ("one.html", "other.html"):
        write_report(small_table, tmp_path / name)
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "other.html").read_bytes()


def test_tables_behind_charts_of_cells_have_their_values(page: Parsed) -> None:
    for chart, value, error in (("confusion", "n", 0), ("correlations", "r", 0.006)):
        columns = page.data[chart]["columns"]
        side = math.isqrt(len(columns[value]))
        rows = [columns[value][i : i + side] for i in range(0, side**2, side)]
        names = columns["label" if chart == "confusion" else "other"][::side]
        title = "Confusion matrix" if chart == "confusion" else "Correlations"
        table = page.text.partition(f"{title} as a table")[2].split()
        start = table.index(names[-1]) + 1
        for name, row in zip(names, rows, strict=True):
            assert table[start] == name
            found = [float(word) for word in table[start + 1 : start + 1 + side]]
            np.testing.assert_allclose(found, row, rtol=0, atol=error)
            start += 1 + side


def test_errors_are_listed_with_messages(page: Parsed) -> None:
    for name in (tables.UNDECODABLE, tables.EMPTY):
        assert name in page.text
    assert "no bytes" in page.text
    assert "2 files have no features" in page.text


def test_the_map_has_all_tracks(page: Parsed, small_table: Path) -> None:
    rows = rows_of(small_table)
    assert page.data["map"]["columns"]["path"] == sorted(rows["path"])
    labels = page.data["map"]["labels"]
    shown = [labels[i] for i in page.data["map"]["columns"]["label_id"]]
    assert shown == [label for _, label in sorted(zip(rows["path"], rows["label"], strict=True))]


def test_quantiles_are_those_of_the_table(page: Parsed, small_table: Path) -> None:
    rows = rows_of(small_table)
    data = page.data["features"]
    by_name = {one["name"]: one for one in data["features"]}
    assert list(by_name) == featurelib.feature_names(tables.SPEC)
    row = data["groups"].index("tones")
    values = rows[rows["label"] == "tones"]["spectral_centroid_mean"].astype(float)
    expected = values.quantile([0.05, 0.25, 0.5, 0.75, 0.95])
    found = by_name["spectral_centroid_mean"]["quantiles"][row]
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def rows_of(table: Path) -> pd.DataFrame:
    return pd.read_parquet(table / "features")


def test_hostile_names_are_text(hostile_table: Path, tmp_path: Path) -> None:
    page = page_of(hostile_table, tmp_path)
    assert set(page.tags) & {"img", "b", "iframe", "object"} == set()
    assert page.tags.count("script") == 3
    assert not [a for a in page.attributes if a[1].startswith("on")]
    assert "<img src=x onerror=window.hacked=1>.wav" in page.data["map"]["columns"]["path"]
    assert tables.HOSTILE_LABELS[0] in page.text
    assert tables.HOSTILE_NAMES[2] in page.data["map"]["columns"]["path"]
    shown = page.text + json.dumps(page.data, ensure_ascii=False)
    assert "line.wav" in shown
    assert not set(shown) & {"\u202e", "\x1b"}
    assert "\\u001b" not in json.dumps(page.data)


def test_json_cannot_end_its_script() -> None:
    value = {"</script><!--": ["&amp;", "\u2028\u2029", "\udcff", 1.5, None]}
    text = safe_json(value)
    assert not set(text) & set("<>&\u2028\u2029")
    assert json.loads(text) == value


def test_no_labels_segments_and_channels(tmp_path: Path) -> None:
    for i in range(6):
        both = np.stack([tables.sound("tones", i), tables.sound("noises", i)], axis=1)
        write_audio(tmp_path / "corpus" / f"{i}.wav", both)
    spec = featurelib.spec_from_settings(
        {
            "features": ["rms", "mfcc"],
            "level": {"kind": "segment", "length_s": 0.5},
            "channels": "each",
        }
    )
    table = tables.make_table(tmp_path / "corpus", tmp_path / "table", spec=spec)
    page = page_of(table, tmp_path)
    assert "The tracks have no labels" in page.text
    assert "24 rows" in page.text.replace("\u202f", "")
    assert "No classifier was tried" in page.text
    assert len(page.data["map"]["columns"]["path"]) == 6


def test_one_label_series_only_and_few_tracks(tmp_path: Path) -> None:
    write_audio(tmp_path / "corpus" / "one" / "1.wav", tables.sound("tones", 1))
    spec = featurelib.spec_from_settings(
        {"features": ["rms"], "defaults": {"statistics": ["series"]}}
    )
    table = tables.make_table(tmp_path / "corpus", tmp_path / "table", spec=spec, labels="parent")
    page = page_of(table, tmp_path)
    assert "The table has series only" in page.text
    assert "There is no map" in page.text
    assert "There are no correlations" in page.text
    assert "No classifier was tried" in page.text


def test_a_table_of_errors_only(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "empty.wav").write_bytes(b"")
    table = tables.make_table(tmp_path / "corpus", tmp_path / "table", max_failed=1.0)
    page = page_of(table, tmp_path)
    ids = [value for tag, name, value in page.attributes if tag == "section" and name == "id"]
    assert ids == SECTIONS
    assert "no track with features" in page.text
    assert "empty.wav" in page.text
    links = [value[1:] for tag, name, value in page.attributes if (tag, name) == ("a", "href")]
    assert "finding-unusable" in links
    assert set(links) <= {value for _, name, value in page.attributes if name == "id"}


def test_what_a_terminal_shows_is_printable() -> None:
    """A terminal gets large numbers without the thin spaces that the page has."""
    silent = Finding("silent", "Silent tracks", "problem", 1234, 20_000, [], "")
    lines = Page("report.html", 1_500_000, 20_000, 1000, [silent], 0.5).lines()
    assert lines[0] == "report.html: 20000 files, 1000 errors, 1.5 MB"
    assert lines[-1] == "problem: Silent tracks (1234 of 20000 tracks)"


def test_an_existing_page_is_replaced_only_if_asked(small_table: Path, tmp_path: Path) -> None:
    output = tmp_path / "report.html"
    output.write_text("mine")
    with pytest.raises(UsageError, match="exists: give another --output, or --force"):
        write_report(small_table, output)
    assert output.read_text() == "mine"
    write_report(small_table, output, force=True)
    assert output.read_text("utf-8").startswith("<!DOCTYPE html>")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_page_that_fails_leaves_nothing(
    small_table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("jobs.report.writing.render", fails)
    with pytest.raises(KeyboardInterrupt):
        write_report(small_table, tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("output", "message"),
    [("-", "not a stream"), ("{folder}", "is a folder"), ("{table}/report.html", "in the table")],
)
def test_outputs_that_are_refused(
    small_table: Path, tmp_path: Path, output: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        write_report(small_table, output.format(folder=tmp_path, table=small_table))


def test_no_table(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="there is no table"):
        write_report(tmp_path / "nothing", tmp_path / "report.html")
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "a.wav").write_bytes(b"x")
    with pytest.raises(JobError, match="is no table of"):
        write_report(tmp_path / "music", tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


@pytest.mark.slow
def test_a_page_on_s3(small_table: Path, s3: S3) -> None:
    bucket = s3.bucket()
    url = f"s3://{bucket}/pages/report.html"
    page = write_report(small_table, url, storage_options=s3.storage_options)
    body = s3.client.get_object(Bucket=bucket, Key="pages/report.html")["Body"].read()
    assert len(body) == page.n_bytes
    assert html.unescape(body.decode()).startswith("<!DOCTYPE html>")
