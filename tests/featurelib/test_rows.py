"""Collection of rows: columns of all kinds, and missing values."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurelib.rows import RowCollector, Rows, arrow_field, arrow_type

SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("segment", pa.int32()),
        ("one", pa.float32()),
        ("two", pa.float32()),
        ("rms", pa.large_list(pa.float32())),
        ("mfcc", pa.large_list(pa.list_(pa.float32(), 3))),
    ]
)
NAMES = ["one", "two"]


@pytest.mark.parametrize(
    "kind",
    [
        *(pa.bool_(), pa.string(), pa.int32(), pa.int64(), pa.float16(), pa.float32()),
        *(pa.float64(), pa.date32(), pa.timestamp("us"), pa.uint8(), pa.binary()),
    ],
    ids=str,
)
def test_scalar_types_are_as_arrow_prints_them(kind: pa.DataType) -> None:
    assert arrow_type(str(kind)) == kind


def test_series_are_large_lists() -> None:
    assert arrow_type("list<float>") == pa.large_list(pa.float32())
    assert arrow_type("list<float[20]>") == pa.large_list(pa.list_(pa.float32(), 20))
    assert arrow_type("list<double>") == pa.large_list(pa.float64())


@pytest.mark.parametrize("text", ["", "float[]", "list<>", "list<number>", "decimal128(3, 1)"])
def test_what_is_no_type(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        arrow_type(text)


def test_a_field_describes_itself() -> None:
    field = arrow_field("rms", "list<float>", "1", "the root mean square", "rms(y=y)")
    assert (field.name, field.type) == ("rms", pa.large_list(pa.float32()))
    assert field.metadata == {
        b"unit": b"1",
        b"description": b"the root mean square",
        b"librosa": b"rms(y=y)",
    }


LENGTHS = st.lists(st.none() | st.integers(0, 5), min_size=1, max_size=4)


@given(st.lists(LENGTHS, max_size=4))
def test_files_of_many_rows_and_failed_ones(files: list[list[int | None]]) -> None:
    """None is a row without a series; a failed file has only facts."""
    collector = RowCollector(SCHEMA, NAMES)
    expected = []
    for number, lengths in enumerate(files):
        n = len(lengths)
        rms = [None if k is None else np.arange(k, dtype=np.float32) for k in lengths]
        mfcc = [None if x is None else x[:, None] + np.zeros(3, np.float32) for x in rms]
        values = np.arange(2 * n, dtype=np.float32).reshape(n, 2)
        own = {"segment": range(n), "rms": rms, "mfcc": mfcc}
        rows = Rows(n, {"path": str(number)}, own, values)
        assert (rows.first("path"), rows.first("segment")) == (str(number), 0)
        collector.add(rows)
        collector.add(Rows(1, {"path": "bad"}, {}))
        expected += [
            {
                "path": str(number),
                "segment": i,
                "one": 2.0 * i,
                "two": 2.0 * i + 1,
                "rms": None if rms[i] is None else rms[i].tolist(),
                "mfcc": None if mfcc[i] is None else mfcc[i].tolist(),
            }
            for i in range(n)
        ]
        expected.append({**dict.fromkeys(SCHEMA.names), "path": "bad"})
    table = collector.table()
    assert table.schema.equals(SCHEMA)
    assert table.to_pylist() == expected
    assert collector.n_rows == len(expected)


def test_values_may_be_columns() -> None:
    collector = RowCollector(SCHEMA, NAMES)
    collector.add(Rows(2, {"path": "a"}, {"segment": [0, 1], "one": [1.0, 2.0], "two": [3.0, 4.0]}))
    assert collector.table().select(NAMES).to_pydict() == {"one": [1.0, 2.0], "two": [3.0, 4.0]}


def test_series_weigh_what_they_hold() -> None:
    collector = RowCollector(SCHEMA, NAMES)
    small = Rows(1, {"path": "a"}, {"segment": [0]}, np.zeros((1, 2), np.float32))
    series = {"segment": [0], "mfcc": [np.zeros((1000, 3), np.float32)]}
    collector.add(small)
    before = collector.n_bytes
    assert 0 < before < 100
    collector.add(Rows(1, {"path": "a"}, series, np.zeros((1, 2), np.float32)))
    assert collector.n_bytes == 2 * before + 12_000
