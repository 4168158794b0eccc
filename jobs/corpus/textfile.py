"""Text and CSV files as people have them: encodings, separators, header lines."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Sequence, Set

import pyarrow as pa
import pyarrow.csv

from jobs.errors import UsageError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins as UTF-16's does
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SEPARATORS = ",;\t|"
_EXCEL_SEPARATOR = re.compile(rb"\"?sep=([,;\t|])\"?\r?\n", re.IGNORECASE)


def as_utf8(data: bytes, name: str) -> bytes:
    """Return the contents of a text file in UTF-8, without a byte order mark.

    A file without a mark comes back as it is, also where it is not UTF-8.

    Raises
    ------
    UsageError
        If it is UTF-16 without a mark.
    UnicodeDecodeError
        If it is not what its mark says.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            text = data[len(mark) :]
            return text if encoding == "utf-8" else text.decode(encoding).encode()
    if b"\0" in data[:2]:
        raise UsageError(
            f"{name} looks like UTF-16, but has no byte order mark that says so: save it as UTF-8"
        )
    return data


def read_csv(data: bytes, name: str, usual: str, wanted: Set[str]) -> pa.Table:
    """Return the rows of a CSV file; every column is strings, an empty field null.

    Parameters
    ----------
    data : bytes
        Contents of the file.
    name : str
        Its name, for errors.
    usual : str
        Separator where the header line does not tell.
    wanted : set of str
        Names of columns, one of which the file should have.

    Raises
    ------
    UsageError
        If it is not UTF-8 or UTF-16 with a byte order mark, or is no CSV.
    """
    data = as_utf8(data, name)
    if said := _EXCEL_SEPARATOR.match(data):
        data, separator = data[said.end() :], said.group(1).decode()
    try:
        if not said:
            separator = _separator(data, usual, wanted)
        return _parse(data, separator)
    except (pa.ArrowInvalid, UnicodeDecodeError, csv.Error) as error:
        _refuse_other_encodings(data, name)
        problem = str(error).splitlines()[0]
        if "Expected" in problem:  # PyArrow's word for a row with more or fewer fields
            problem += f" (a field with the separator {separator!r} in it needs quotes)"
        raise UsageError(f"{name} cannot be read: {problem}") from error


def _parse(data: bytes, separator: str) -> pa.Table:
    if data and b"\n" not in data and b"\r" not in data:
        data += b"\n"  # PyArrow wants an end of the header line
    options = pyarrow.csv.ConvertOptions(
        # to have PyArrow guess the types of all columns first would cost as much again
        column_types=dict.fromkeys(_header(data, separator), pa.string()),
        strings_can_be_null=True,
        null_values=[""],
        quoted_strings_can_be_null=False,
    )
    return pyarrow.csv.read_csv(
        pa.py_buffer(data),
        read_options=pyarrow.csv.ReadOptions(use_threads=False),
        parse_options=pyarrow.csv.ParseOptions(delimiter=separator, newlines_in_values=True),
        convert_options=options,
    )


def _header(data: bytes, separator: str) -> Sequence[str]:
    text = io.TextIOWrapper(io.BytesIO(data), "utf-8", newline="")
    return next(filter(None, csv.reader(text, delimiter=separator)), [])  # not an empty line


def _separator(data: bytes, usual: str, wanted: Set[str]) -> str:
    """Return the separator whose header has a wanted column, and of several most columns."""

    def fitness(separator: str) -> tuple[bool, int, bool]:
        names = _header(data, separator)
        return not wanted.isdisjoint(names), len(names), separator == usual

    return max(_SEPARATORS, key=fitness)


def _refuse_other_encodings(data: bytes, name: str) -> None:
    """Refuse what is not UTF-8: which letters its bytes are cannot be known."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        byte = data[error.start : error.start + 1]
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(
            f"{name} is not UTF-8: line {line} has the byte 0x{byte.hex()}, which is"
            f" {byte.decode('cp1252', 'replace')!r} in Windows-1252 and another letter in other"
            " encodings. Save it as 'CSV UTF-8', or convert it: iconv -f WINDOWS-1252 -t UTF-8"
        ) from error
