"""Publishing a bucket: old parts, less what leaves, and the fragments' rows, part by part."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from jobs import schema
from jobs.errors import ConflictError, TableError
from jobs.fragments import outcomes_of, read_fragments, rows_from
from jobs.plan import (
    EXTRACTED,
    Held,
    Item,
    Placed,
    Rules,
    classify,
    resolve,
    usable,
)
from jobs.table import ERRORS, Table


@dataclass(frozen=True)
class Merged:
    """What a bucket holds once it is published."""

    n_rows: int
    """Files that have feature rows."""
    n_errors: int
    parts_written: tuple[str, ...]
    moving: bool
    """Whether some rows are in two parts now, and are to leave one of them."""
    moving_features: bool
    """Whether some of these go from one part of features to another."""


class BucketMerge:
    """The merge of one bucket.

    Parameters
    ----------
    table : Table
        Where it goes.
    bucket : int
        Which bucket.
    items : dict
        The listing's files by path.
    fragments : sequence of str
        Names of the bucket's fragments.
    rules : Rules
        The run's options.
    run_id : str
        The run, whose own fragments count whatever version they read.

    Raises
    ------
    ConflictError
        If a part is not the version that the bucket was planned from.
    """

    def __init__(
        self,
        table: Table,
        bucket: int,
        items: dict[str, Item],
        fragments: Sequence[str],
        rules: Rules,
        run_id: str,
    ) -> None:
        self.table = table
        planned = {part: table.parts[part] for part in table.parts_of(bucket)}
        self.held = table.held(bucket)
        for part, version in planned.items():
            if table.parts[part] != version:
                raise ConflictError(f"{part} changed since it was planned")
        self.fragment_rows = read_fragments(
            table.store, fragments, table.fragment_schema, table.origin
        )
        found = outcomes_of(
            self.fragment_rows,
            lambda o: o.run_id == run_id or usable(o, items.get(o.path), rules),
        )
        self._starts = {path: start for path, (_, start) in found.items()}
        self.placed = resolve(
            items,
            self.held,
            {path: outcome for path, (outcome, _) in found.items()},
            rules,
            lambda label, kind: table.part_for(bucket, label, kind),
        )
        self.unfinished = [
            path
            for path, item in items.items()
            if path not in found and classify(item, self.held.get(path, ()), rules)[0] in EXTRACTED
        ]
        """Files that were to be read, and have no outcome in any fragment."""
        self._gains = self._find_gains()
        self._losses = self._find_losses()
        self._moving = self._find_moving()
        self._old: dict[str, pa.Table] = {}

    def accounts(self) -> tuple[int, int]:
        """Return how many files have feature rows afterwards, and how many are errors."""
        n_errors = sum(placed.part.startswith(f"{ERRORS}/") for placed in self.placed)
        return len(self.placed) - n_errors, n_errors

    def _find_gains(self) -> dict[str, list[Placed]]:
        """Return, by part, what comes in: rows that are new, moved or have other facts."""
        gains: dict[str, list[Placed]] = {}
        for placed in self.placed:
            source = placed.source
            if source is None or source.part != placed.part or source.facts != placed.facts:
                gains.setdefault(placed.part, []).append(placed)
        return gains

    def _find_losses(self) -> dict[str, set[str]]:
        """Return, by part, the paths whose rows leave it or are replaced."""
        stays: dict[str, Held | None] = {
            placed.path: placed.source
            for placed in self.placed
            if placed.source is not None and placed.source.facts == placed.facts
        }
        losses: dict[str, set[str]] = {}
        for path, entries in self.held.items():
            for entry in entries:
                kept = stays.get(path)
                if kept is None or kept.part != entry.part:
                    losses.setdefault(entry.part, set()).add(path)
        return losses

    def _find_moving(self) -> dict[str, set[str]]:
        """Return, by part, those of its losses that another part gains."""
        gained_by = {p.path: part for part, gains in self._gains.items() for p in gains}
        moving = {
            part: {path for path in paths if gained_by.get(path, part) != part}
            for part, paths in self._losses.items()
        }
        return {part: paths for part, paths in moving.items() if paths}

    def _moves_features(self) -> bool:
        """Say whether a row goes from one part of features to another."""
        losing = {
            path for part, paths in self._moving.items() if _is_features(part) for path in paths
        }
        return any(
            placed.path in losing
            for part, gains in self._gains.items()
            if _is_features(part)
            for placed in gains
        )

    def content(self, part: str, *, keep_moving: bool = False) -> pa.Table:
        """Return the rows that a part is to have.

        Parameters
        ----------
        part : str
            The part's name.
        keep_moving : bool
            Keep, for now, the rows that go to another part.
        """
        gains, leaving = self._gains.get(part, []), self._losses.get(part, set())
        if keep_moving:
            leaving = leaving - self._moving.get(part, set())
        pieces = []
        if part in self.table.parts:
            pieces.append(_without(self._read_old(part), leaving))
        fresh = [placed for placed in gains if placed.source is None]
        if fresh:
            rows = rows_from(self.fragment_rows, [self._starts[p.path] for p in fresh])
            pieces.append(self._with_facts(rows, fresh, part))
        by_source: dict[str, list[Placed]] = {}
        for placed in gains:
            if placed.source is not None:
                by_source.setdefault(placed.source.part, []).append(placed)
        for source, moved in by_source.items():
            rows = _only(self._read_old(source), {placed.path for placed in moved})
            pieces.append(self._with_facts(rows, moved, part))
        wanted = self.table.schema_of(part)
        rows = pa.concat_tables(pieces) if pieces else wanted.empty_table()
        return _sorted_unique(rows, part)

    def _with_facts(self, rows: pa.Table, placed: Sequence[Placed], part: str) -> pa.Table:
        """Return rows with the label and carried columns of the listing, in a part's schema."""
        facts = {p.path: p.facts for p in placed}
        of_row = [facts[path] for path in rows[schema.PATH].to_pylist()]
        wanted = self.table.schema_of(part)
        columns = {}
        for field in wanted:
            if field.name in self.table.fact_names:
                index = self.table.fact_names.index(field.name)
                columns[field.name] = pa.array([f[index] for f in of_row], field.type)
            elif field.name == "error_class":
                kinds = rows[schema.ERROR_KIND].to_pylist()
                columns[field.name] = pa.array([schema.error_class(k) for k in kinds], field.type)
            else:
                columns[field.name] = rows[field.name].cast(field.type)
        return pa.table(columns, schema=wanted)

    def _read_old(self, part: str) -> pa.Table:
        if part not in self._old:
            data, version = self.table.store.read(part)
            if version != self.table.parts[part]:
                raise ConflictError(f"{part} changed while it was merged")
            try:
                rows = schema.from_parquet(data)
            except (pa.ArrowInvalid, OSError) as error:
                raise self.table.damaged(part, error) from error
            wanted = self.table.schema_of(part)
            if not rows.schema.equals(wanted):
                raise self.table.damaged(part, "its columns are not those of this table")
            self._old[part] = rows.replace_schema_metadata(wanted.metadata).cast(wanted)
        return self._old[part]

    def publish(
        self,
        may_write: Callable[[], None],
        on_written: Callable[[], None] = lambda: None,
        *,
        keep_moving: bool,
    ) -> Merged:
        """Write the parts that change, one atomic replacement each.

        Parameters
        ----------
        may_write : callable
            Called before every write; raises when this driver may not write any more.
        on_written : callable
            Called after every write.
        keep_moving : bool
            Keep rows that go to another part in both, so that no reader misses them; a
            later merge of the bucket takes them out of the part that loses them.

        Raises
        ------
        ConflictError
            If a part is not the version that it was merged from.
        """
        parts = sorted(self._gains.keys() | self._losses.keys())
        if keep_moving:
            parts = [
                p for p in parts if p in self._gains or self._losses[p] - self._moving.get(p, set())
            ]
        # every part is made before any is written: an error here leaves the bucket as it is
        contents = [schema.to_parquet(self.content(p, keep_moving=keep_moving)) for p in parts]
        written: dict[str, str] = {}
        for part, data in zip(parts, contents, strict=True):
            may_write()
            expected = self.table.parts.get(part)
            written[part] = self.table.store.replace(part, data, expected=expected)
            on_written()
        for part, version in written.items():
            self.table.set_part(part, version)
        n_rows, n_errors = self.accounts()
        left = bool(self._moving) and keep_moving
        return Merged(n_rows, n_errors, tuple(parts), left, left and self._moves_features())


def _is_features(part: str) -> bool:
    return not part.startswith(f"{ERRORS}/")


def _mask(rows: pa.Table, paths: set[str]) -> np.ndarray:
    return np.fromiter((p in paths for p in rows[schema.PATH].to_pylist()), bool, len(rows))


def _without(rows: pa.Table, paths: set[str]) -> pa.Table:
    return rows.filter(pa.array(~_mask(rows, paths))) if paths else rows


def _only(rows: pa.Table, paths: set[str]) -> pa.Table:
    return rows.filter(pa.array(_mask(rows, paths)))


def _sorted_unique(rows: pa.Table, part: str) -> pa.Table:
    keys = [schema.PATH]
    if schema.SEGMENT in rows.column_names:
        keys.append(schema.SEGMENT)
    rows = rows.combine_chunks().sort_by([(key, "ascending") for key in keys])
    listed = list(zip(*(rows[key].to_pylist() for key in keys), strict=True))
    for before, after in itertools.pairwise(listed):
        if before == after:
            raise TableError(f"{part} would hold {after[0]} twice: nothing of it was written")
    return rows
