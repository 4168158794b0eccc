"""Export of a table as one file: formats, and the layouts of published tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobs.errors import ConflictError, TableError, UsageError, with_remedy
from jobs.export.formats import FORMATS
from jobs.export.layouts import LAYOUTS, Layout, layout_of
from jobs.export.ordering import sorted_rows
from jobs.export.target import AGAIN, check_apart, check_name, new_file
from jobs.storage.urls import split_name
from jobs.table.reader import Table, open_table

if TYPE_CHECKING:
    import pyarrow as pa

#: Names for `export`, of layouts and formats.
KINDS = (*LAYOUTS, *FORMATS)


@dataclass(frozen=True)
class Export:
    """A file that was made of a table.

    Attributes
    ----------
    output : str
        Location of the file.
    kind : str
        Its layout or format.
    n_rows, n_columns : int
        Numbers of rows and columns in it.
    """

    output: str
    kind: str
    n_rows: int
    n_columns: int

    def to_dict(self) -> dict[str, Any]:
        """Return the export as a dictionary for JSON."""
        return {
            "output": self.output,
            "as": self.kind,
            "rows": self.n_rows,
            "columns": self.n_columns,
        }

    def lines(self) -> list[str]:
        """Return the export as lines of text for people."""
        return [f"{self.output}: {self.n_rows} rows, {self.n_columns} columns"]


def export(
    location: str, output: str, kind: str | None, options: dict[str, Any], *, force: bool = False
) -> Export:
    """Write the rows of a table to one file, sorted by path, channel and segment.

    Memory is bounded, whatever the number of rows. The file appears when it is complete.

    Parameters
    ----------
    location : str
        Location of the table.
    output : str
        Path or URL of the file.
    kind : str, optional
        One of `KINDS`; by default the format that the extension of `output` names.
    options : dict
        Storage options for fsspec.
    force : bool
        Replace the file if it exists.

    Raises
    ------
    UsageError
        If the table does not have the columns of the layout, or the file exists.
    TableError
        If the table cannot be read, or a run changes it meanwhile.
    """
    check_name(output)
    kind = _kind(kind, output)
    table = open_table(location, options)
    layout = layout_of(kind, table)
    check_apart(table.store.url, output, options)
    _check_extension(kind, layout, output)
    with new_file(output, options, force=force) as sink:
        n_rows = FORMATS[layout.format](sink, layout, _rows(table, layout))
    return Export(output, kind, n_rows, len(layout.schema))


def _rows(table: Table, layout: Layout) -> Iterator[pa.Table]:
    """Yield the sorted rows in the layout; errors name the table, not the file that is written."""
    url = table.store.url
    try:
        yield from map(layout.convert, sorted_rows(table, layout.reads))
    except (ConflictError, FileNotFoundError) as error:
        raise TableError(f"{url} was changed by a run while it was exported: try again") from error
    except OSError as error:
        raise TableError(f"cannot sort the rows of {url}: {with_remedy(error, AGAIN)}") from error


def _kind(kind: str | None, output: str) -> str:
    if kind is None:
        kind = _extension(output)
        if kind not in FORMATS:
            raise UsageError(
                f"{output} does not say by its extension what to make: say --as {'|'.join(KINDS)}"
            )
    elif kind not in KINDS:
        raise UsageError(f"there is no layout or format {kind!r}: there are {', '.join(KINDS)}")
    return kind


def _check_extension(kind: str, layout: Layout, output: str) -> None:
    extension = _extension(output)
    if extension in FORMATS and extension != layout.format:
        raise UsageError(
            f"--as {kind} writes {layout.format}, and {output} is named as {extension}: give a name"
            f" ending in .{layout.format}"
        )


def _extension(output: str) -> str:
    return split_name(output)[1].rpartition(".")[2].lower()
