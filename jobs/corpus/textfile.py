"""Read text and CSV files of any common encoding and separator."""

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
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SEPARATORS = ",;\t|"
_EXCEL_SEPARATOR = re.compile(rb"\"?sep=([,;\t|])\"?\r?\n", re.IGNORECASE)


def as_utf8(data: bytes, name: str) -> bytes:
    """Return the contents of a text file in UTF-8, without a byte order mark.

    A file without a mark is returned unchanged, even if it is not UTF-8.

    Raises
    ------
    UsageError
        If the file looks like UTF-16 without a mark.
    UnicodeDecodeError
        If the contents are not in the encoding of the mark.
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
    """Return the rows of a CSV file; all columns are strings, and empty fields are null.

    Parameters
    ----------
    data : bytes
        Contents of the file.
    name : str
        Name of the file, for errors.
    usual : str
        Separator to use if the header line does not show it.
    wanted : set of str
        Column names, of which the file should have one.

    Raises
    ------
    UsageError
        If the file is not CSV, or neither UTF-8 nor UTF-16 with a byte order mark.
    """
    data = as_utf8(data, name)
    if excel_line := _EXCEL_SEPARATOR.match(data):
        data, separator = data[excel_line.end() :], excel_line.group(1).decode()
    try:
        if not excel_line:
            separator = _separator(data, usual, wanted)
        return _parse(data, separator)
    except (pa.ArrowInvalid, UnicodeDecodeError, csv.Error) as error:
        _refuse_other_encodings(data, name)
        problem = str(error).splitlines()[0]
        if "Expected" in problem:  # PyArrow's message for a row with too many or too few fields
            problem += f" (a field with the separator {separator!r} in it needs quotes)"
        raise UsageError(f"{name} cannot be read: {problem}") from error


def _parse(data: bytes, separator: str) -> pa.Table:
    if data and b"\n" not in data and b"\r" not in data:
        data += b"\n"  # PyArrow needs the end of the header line
    options = pyarrow.csv.ConvertOptions(
        # strings throughout: guessing the types first would double the time
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
    return next(
        filter(None, csv.reader(text, delimiter=separator)), []
    )  # first line that is not empty


def _separator(data: bytes, usual: str, wanted: Set[str]) -> str:
    """Return the separator that gives a wanted column, or else the most columns."""

    def fitness(separator: str) -> tuple[bool, int, bool]:
        names = _header(data, separator)
        return not wanted.isdisjoint(names), len(names), separator == usual

    return max(_SEPARATORS, key=fitness)


def _refuse_other_encodings(data: bytes, name: str) -> None:
    """Refuse contents that are not UTF-8, because their encoding cannot be known."""
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
