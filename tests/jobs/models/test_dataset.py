"""Reading a table for a classifier: columns, groups, and what is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import featurelib
from jobs.errors import TableError, UsageError
from jobs.models import dataset as module
from jobs.models.columns import columns_by_feature
from jobs.models.grouping import joined
from tests.jobs.models.tables import COLUMNS, clusters, dataset_of, make_table, told


def test_only_features_in_the_order_of_the_spec(tmp_path: Path) -> None:
    table = make_table(tmp_path, {**clusters(3), "b/x.wav": told([[1, 2, 3, 4, 5], [6] * 5])})
    found = dataset_of(table)
    assert list(found.X.columns) == COLUMNS
    assert set(found.X.dtypes) == {np.dtype(np.float32)}
    read = pd.read_parquet(table / "features").sort_values(["path", "segment"])
    np.testing.assert_array_equal(found.X.to_numpy(), read[COLUMNS].to_numpy())
    assert found.y.tolist() == read["label"].tolist()
    assert found.rows["path"].tolist() == read["path"].tolist()
    assert found.has_segments
    files = pd.factorize(read["path"])[0]
    np.testing.assert_array_equal(found.tracks, files)
    assert found.features["mfcc"] == ["mfcc_01_mean", "mfcc_02_mean"]


def test_infinite_values_are_missing(tmp_path: Path) -> None:
    table = make_table(tmp_path, {"a/1.wav": told([np.inf, 1, -np.inf, 2, 3])})
    np.testing.assert_array_equal(dataset_of(table).X, [[np.nan, 1, np.nan, 2, 3]])


def test_the_partitions_do_not_matter(tmp_path: Path) -> None:
    one = dataset_of(make_table(tmp_path / "1", clusters(4)))
    flat = {"buckets": 5, "partition_by": "none"}
    two = dataset_of(make_table(tmp_path / "2", clusters(4), **flat))
    pd.testing.assert_frame_equal(one.X, two.X)
    pd.testing.assert_frame_equal(one.rows, two.rows)
    np.testing.assert_array_equal(one.groups, two.groups)


def test_missing_values_are_nan(tmp_path: Path) -> None:
    table = make_table(tmp_path, clusters(2, "ab"))
    [part, *_] = sorted((table / "features").glob("by_label=a/*.parquet"))
    rows = pq.ParquetFile(part).read()
    column = pa.nulls(len(rows), pa.float32())
    place = rows.column_names.index("rms_std")
    pq.write_table(rows.set_column(place, "rms_std", column), part)
    found = dataset_of(table)
    assert np.isnan(found.X["rms_std"]).sum() == len(rows)
    assert not np.isnan(found.X["rms_mean"]).any()


def test_what_is_left_out_is_counted_and_can_be_kept(tmp_path: Path) -> None:
    files = {
        **clusters(2, "ab"),
        "a/damaged.wav": told([[0] * 5] * 3, decoding="damaged"),
        "a/cut.wav": told([1] * 5, decoding="cut", is_silent=True),
        "b/silent.wav": told([2] * 5, is_silent=True),
        "none.wav": told([3] * 5),
    }
    table = make_table(tmp_path, files)
    found = dataset_of(table)
    assert len(found.track_rows) == 4
    assert found.left_out == {"without a label": 1, "damaged": 1, "cut": 1, "silent": 1}
    assert dataset_of(table, partial=True).left_out == {"without a label": 1, "silent": 2}
    assert dataset_of(table, silent=True).left_out == {"without a label": 1, "damaged": 1, "cut": 1}
    everything = dataset_of(table, partial=True, silent=True, unlabelled=True)
    assert not everything.left_out
    assert len(everything.track_rows) == 8
    assert everything.y.isna().sum() == 1


def test_copies_and_values_of_columns_are_groups(tmp_path: Path) -> None:
    files = {
        f"{i}.wav": told([i] * 5, audio_hash="same" if i in (0, 5) else f"h{i}") for i in range(8)
    }
    carried = {
        "label": list("aabbaabb"),
        "artist": ["x", "", "y", "y", "x", "z", "z", ""],
        "album": ["", "x", "", "", "", "", "", "x"],
    }
    table = make_table(tmp_path, files, carried=carried)
    assert dataset_of(table).groups.tolist() == [0, 1, 2, 3, 4, 0, 5, 6]
    # 0-4 by artist x, 0-5 copies, 5-6 by artist z; an empty artist, and an album x, are others
    assert dataset_of(table, group_by=["artist"]).groups.tolist() == [0, 1, 2, 2, 0, 0, 0, 3]
    both = dataset_of(table, group_by=["artist", "album"])
    assert both.groups.tolist() == [0, 1, 2, 2, 0, 0, 0, 1]


def test_parts_of_paths_are_groups(tmp_path: Path) -> None:
    files = {
        f"{digit}/{digit}_{who}_{i}.wav": told([i] * 5, audio_hash=f"{digit}{who}{i}")
        for digit in "01"
        for who in ("ann", "bob")
        for i in range(2)
    }
    table = make_table(tmp_path, files)
    found = dataset_of(table, group_by=["name:*_{group}_*"])
    who = found.rows["path"].str.split("_").str[1]
    assert pd.crosstab(found.groups, who).gt(0).sum(axis=1).tolist() == [1, 1]
    assert len(set(dataset_of(table, group_by=["parent"]).groups)) == 2
    with pytest.raises(
        UsageError, match=r"--group-by is 'name:x': the pattern has to have \{group\}"
    ):
        dataset_of(table, group_by=["name:x"])


@given(
    st.lists(
        st.lists(
            st.one_of(st.none(), st.sampled_from(["", "u", "v", "w", "x"])), min_size=7, max_size=7
        ),
        max_size=3,
    )
)
def test_groups_are_what_is_connected(columns: list[list[str | None]]) -> None:
    found = joined(7, [pa.array(column, pa.string()) for column in columns])
    reach = np.eye(7, dtype=bool)
    for column in columns:
        for i in range(7):
            for j in range(7):
                reach[i, j] |= bool(column[i]) and column[i] == column[j]
    for _ in range(7):
        reach |= reach @ reach
    np.testing.assert_array_equal(found[:, None] == found[None, :], reach)
    assert found[0] == 0


def test_unknown_numbers_are_no_group(tmp_path: Path) -> None:
    column = pa.array([1.5, float("nan"), float("nan"), 1.5, None])
    assert joined(5, [column]).tolist() == [0, 1, 2, 0, 3]


def test_a_file_is_silent_if_all_of_its_rows_are(tmp_path: Path) -> None:
    files = {
        **clusters(2, "a"),
        "a/intro.wav": told(np.eye(5), is_silent=[True, True, False, False, False]),
        "a/nothing.wav": told(np.eye(5), is_silent=[True] * 5),
    }
    table = make_table(tmp_path, files)
    found = dataset_of(table)
    assert found.left_out == {"silent": 1}
    assert found.rows["path"].value_counts()["a/intro.wav"] == 5
    kept = dataset_of(table, silent=True)
    assert kept.silent_tracks.tolist() == [False, False, False, True]


def test_contradictions_are_found(tmp_path: Path) -> None:
    files = {
        "a/1.wav": told([1] * 5, audio_hash="copy"),
        "b/2.wav": told([1] * 5, audio_hash="copy"),
        "a/3.wav": told([2] * 5, audio_hash="fine"),
        "a/4.wav": told([2] * 5, audio_hash="fine"),
    }
    [found] = dataset_of(make_table(tmp_path, files)).contradictions
    assert found.files == (("a/1.wav", "a"), ("b/2.wav", "b"))


def test_a_sample_is_a_dataset(tmp_path: Path) -> None:
    table = make_table(tmp_path, {**clusters(3, "ab"), "a/long.wav": told(np.eye(5))})
    whole = dataset_of(table)
    some = whole.take(np.flatnonzero(np.isin(whole.tracks, [1, 3, 5])))
    assert some.tracks.tolist() == [0, 1, 1, 1, 1, 1, 2]
    assert some.rows["path"].unique().tolist() == ["a/1.wav", "a/long.wav", "b/1.wav"]
    assert len(some.X) == len(some.y) == len(some.groups) == 7
    classes, codes = some.encoded()
    assert classes == ["a", "b"]
    assert codes.tolist() == [0] * 6 + [1]


def test_what_cannot_be_learned_from_is_refused(tmp_path: Path) -> None:
    table = make_table(tmp_path, clusters(2, "ab"))
    with pytest.raises(UsageError, match=r"has no column 'rms_mean'"):
        dataset_of(table, group_by=["rms_mean"])
    with pytest.raises(UsageError, match=r"has no column 'sample_rate'.*did you mean"):
        dataset_of(table, group_by=["sample_rate"])
    with pytest.raises(UsageError, match=r"no file in .* has a label: extract them with --labels"):
        dataset_of(make_table(tmp_path / "2", clusters(1), labels="none"))
    silent = {f"{x}/1.wav": told([0] * 5, is_silent=True) for x in "ab"}
    with pytest.raises(UsageError, match=r"is left to learn from \(2 silent\)"):
        dataset_of(make_table(tmp_path / "3", silent))
    with pytest.raises(UsageError, match="has no rows: extract files into it first"):
        dataset_of(make_table(tmp_path / "4", {"a/1.wav": "bad"}))


@pytest.mark.parametrize("name", ["label", "channel", "segment"])
def test_labels_and_segments_are_no_groups_of_files(tmp_path: Path, name: str) -> None:
    table = make_table(tmp_path, clusters(2, "a"))
    for option in ({"group_by": [name]}, {"columns": [name]}):
        with pytest.raises(UsageError, match=f"has no column '{name}' by which files can be"):
            dataset_of(table, **option)


def test_parts_with_other_columns_are_named(tmp_path: Path) -> None:
    table = make_table(tmp_path, clusters(2, "a"))
    part = min((table / "features").rglob("*.parquet"))
    rows = pq.ParquetFile(part).read()
    pq.write_table(rows.drop_columns(["rms_std"]), part)
    with pytest.raises(TableError, match=rf"{part.name} is damaged \(columns are missing\)"):
        dataset_of(table)
    place = rows.schema.get_field_index("rms_std")
    pq.write_table(rows.set_column(place, "rms_std", pa.array(["x"] * len(rows))), part)
    with pytest.raises(TableError, match=rf"{part.name} is damaged \(Failed to parse"):
        dataset_of(table)


def test_a_run_that_changes_the_table_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = make_table(tmp_path, clusters(4, "ab"))
    select = module._selected

    def change(*arguments: Any, **options: Any) -> Any:
        for part in (table / "features").rglob("*.parquet"):
            rows = pq.ParquetFile(part).read()
            pq.write_table(rows.slice(1), part)
        return select(*arguments, **options)

    monkeypatch.setattr(module, "_selected", change)
    with pytest.raises(TableError, match="was changed by a run while it was read: try again"):
        dataset_of(table)


def test_a_spec_with_code_runs_none(tmp_path: Path) -> None:
    marker, evil = tmp_path / "ran", tmp_path / "evil.py"
    evil.write_text(f"open({str(marker)!r}, 'w')")
    spec = {**featurelib.get_spec("tutorial-v1").to_dict(), "import": [str(evil)]}
    assert columns_by_feature(spec, ["x", "y"]) == {"x": ["x"], "y": ["y"]}
    assert not marker.exists()


def test_load_table_gives_what_scikit_learn_takes(tmp_path: Path) -> None:
    table = make_table(tmp_path, clusters(4), carried=None)
    X, y, groups = featurelib.load_table(table, group_by="parent")
    assert X.index.names == ["path", "channel", "segment"]
    assert X.index.equals(y.index)
    assert y.tolist() == ["a"] * 4 + ["b"] * 4 + ["c"] * 4
    assert groups.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    with pytest.raises(UsageError, match="has no column"):
        featurelib.load_table(table, group_by=["nothing"])
