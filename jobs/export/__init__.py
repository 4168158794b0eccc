"""Export of a table as one file: formats, and the layouts of published tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jobs.errors import ConflictError, TableError, UsageError
from jobs.export.formats import FORMATS
from jobs.export.layouts import LAYOUTS, layout_of
from jobs.export.ordering import sorted_rows
from jobs.export.target import check_name, new_file
from jobs.storage.urls import canonical_location, split_name
from jobs.table.reader import Table, open_table

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
    _check_apart(table, output)
    with new_file(output, options, force=force) as sink:
        try:
            rows = sorted_rows(table, layout.reads)
            n_rows = FORMATS[layout.format](sink, layout, map(layout.convert, rows))
        except (ConflictError, FileNotFoundError) as error:
            raise TableError(
                f"{table.store.url} was changed by a run while it was exported: try again"
            ) from error
    return Export(output, kind, n_rows, len(layout.schema))


def _kind(kind: str | None, output: str) -> str:
    if kind is None:
        kind = split_name(output)[1].rpartition(".")[2].lower()
        if kind not in FORMATS:
            raise UsageError(
                f"{output} does not say by its extension what to make: say --as {'|'.join(KINDS)}"
            )
    elif kind not in KINDS:
        raise UsageError(f"there is no layout or format {kind!r}: there are {', '.join(KINDS)}")
    return kind


def _check_apart(table: Table, output: str) -> None:
    if f"{canonical_location(output)}/".startswith(f"{table.store.url}/"):
        raise UsageError(
            f"{output} is in the table, where readers would take it for a part: give a place"
            " outside of it"
        )
