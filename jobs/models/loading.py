"""`load_table`: a table as X, y and groups. `featurelib.load_table` is this function."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jobs.models.dataset import read_dataset
from jobs.settings import Settings, storage_texts
from jobs.table.reader import open_table

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def load_table(
    table: str | os.PathLike[str],
    *,
    group_by: str | Sequence[str] = (),
    partial: bool = False,
    silent: bool = False,
    unlabelled: bool = False,
    storage_options: Mapping[str, Any] | None = None,
) -> tuple[pd.DataFrame, pd.Series, np.ndarray]:
    """Read a feature table as a classifier needs it.

    Parameters
    ----------
    table : str or path
        Folder or URL of a table that ``featurelib extract`` has made.
    group_by : str or sequence of str
        Columns, such as ``artist``, or parts of paths: ``parent`` for the folder,
        ``name:PATTERN`` for the part ``{group}`` of a pattern. Files that share a value are in
        one group.
    partial : bool
        Keep files that were decoded only in part (damaged or cut).
    silent : bool
        Keep silent files.
    unlabelled : bool
        Keep files without a label; their `y` is null.
    storage_options : mapping, optional
        Options for fsspec.

    Returns
    -------
    X : pandas.DataFrame [shape=(n_rows, n_columns), dtype=float32]
        The feature columns with one number per row, in the order of the spec, and nothing else
        of the file. The index is (path, channel, segment), sorted. What is null or infinite
        in the table is NaN.
    y : pandas.Series
        Label of each row, with the same index.
    groups : np.ndarray [shape=(n_rows,), dtype=int64]
        Group of each row, for scikit-learn's splitters such as ``StratifiedGroupKFold``. Rows
        of one file, of copies of it (equal ``audio_hash``), and of files that share a value of
        `group_by` are in one group.

    Raises
    ------
    JobError
        If the table cannot be read, there is no such column, or no file is left; the message
        names the cause and the remedy in one line.

    Examples
    --------
    >>> import featurelib
    >>> from jobs import extract_corpus
    >>> report = extract_corpus("music", "table", labels="parent", cluster="inline")
    >>> X, y, groups = featurelib.load_table("table")
    >>> X.shape, y.tolist(), groups.tolist()
    ((4, 98), ['blues', 'blues', 'rock', 'rock'], [0, 1, 2, 3])
    """
    settings = Settings(storage_options=tuple(storage_texts(storage_options or {})))
    dataset = read_dataset(
        open_table(os.fspath(table), settings.options_for("table")),
        group_by=(group_by,) if isinstance(group_by, str) else group_by,
        partial=partial,
        silent=silent,
        unlabelled=unlabelled,
    )
    import pandas as pd

    index = pd.MultiIndex.from_frame(dataset.rows[["path", "channel", "segment"]])
    return dataset.X.set_axis(index), dataset.y.set_axis(index), dataset.groups
