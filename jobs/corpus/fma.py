"""Read ``tracks.csv`` of the FMA dataset, whose header has three lines."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from jobs.errors import UsageError

_GENRE = ("track", "genre_top")

#: Carried columns: the split into training, validation and test, and the subset by size.
_CARRIED = (("set", "split"), ("set", "subset"))

#: Longest header that is looked at [bytes].
_HEADER_BYTES = 2**16


def read_tracks(data: bytes) -> pa.Table | None:
    """Return the labels of FMA's ``tracks.csv``; None if the file is another one.

    Parameters
    ----------
    data : bytes
        Contents of the file. Its header has three lines: group, column, and ``track_id``.

    Returns
    -------
    pyarrow.Table
        ``path`` is the stem of the track's file: the track 2 is in ``000/000002.mp3``, so it
        is ``000002``. ``label`` is the column ``track, genre_top``. ``split`` and ``subset``
        are carried.

    Raises
    ------
    UsageError
        If a number of a track is malformed.
    """
    head = data[:_HEADER_BYTES].split(b"\n", 3)
    if len(head) < 4 or head[0][:1] != b"," or head[2].split(b",", 1)[0] != b"track_id":
        return None
    groups, names = (_cells(line) for line in head[:2])
    columns = list(zip(groups, names, strict=False))
    if _GENRE not in columns:
        return None
    wanted = [_GENRE, *(column for column in _CARRIED if column in columns)]
    read = ["track_id", *(" ".join(column) for column in columns[1:])]
    kept = ["track_id", *(" ".join(column) for column in wanted)]
    rows = pyarrow.csv.read_csv(
        pa.py_buffer(data),
        read_options=pyarrow.csv.ReadOptions(skip_rows=3, column_names=read, use_threads=False),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(kept, pa.string()),
            include_columns=kept,
            strings_can_be_null=True,
            null_values=[""],
        ),
    )
    numbers = rows["track_id"]
    is_number = pc.fill_null(pc.match_substring_regex(numbers, r"^\d+$"), False)
    if not pc.all(is_number).as_py():
        wrong = numbers[pc.index(is_number, False).as_py()].as_py()
        raise UsageError(f"tracks.csv has the track_id {wrong!r}: give numbers of tracks only")
    stems = pc.utf8_lpad(numbers, 6, "0")
    return pa.table(
        {"path": stems, "label": rows[kept[1]], **{c[1]: rows[" ".join(c)] for c in wanted[1:]}}
    )


def _cells(line: bytes) -> list[str]:
    return line.decode("utf-8", "replace").strip().split(",")
