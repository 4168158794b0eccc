"""Verification of a table: its values against librosa's, computed from the audio again."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import featurelib
from jobs.errors import (
    EXIT_DIFFERS,
    EXIT_DONE,
    EXIT_FAILED,
    ConflictError,
    JobError,
    TableError,
    UsageError,
)
from jobs.storage.names import readable
from jobs.storage.urls import location_from_canonical, redacted, split_name, stored_name
from jobs.table.metadata import check_features
from jobs.table.reader import Table, open_table
from jobs.verification.outcomes import MAX_FLIPPED, Deviation, FamilyOutcome, FileOutcome
from jobs.verification.process import Process, Request
from jobs.verification.sampling import SampledFile, files_of, sample_files

#: Number of files that are verified, unless set otherwise.
SAMPLE = 20

_OUTSIDE_SHOWN = 20

_MOVED = "moved by a run meanwhile"


@dataclass
class Verification:
    """The comparison of the values of some files with librosa's.

    Attributes
    ----------
    location : str
        The table or file.
    preset : str
        Name of the spec.
    n_files : int
        Number of files in the table.
    n_verified, n_rows : int
        Numbers of files and rows that were verified.
    families : dict
        Outcome of each family, by name.
    outside : list of Deviation
        Values that differ from librosa's by more than the tolerance.
    problems : dict of str to list of str
        Paths of the files that were not verified, by the reason.
    compared : set of str
        Names of the entries of the spec of which values were compared.
    refused : dict of str to str
        Entries that librosa refuses for some row, and why.
    """

    location: str
    preset: str
    n_files: int = 1
    n_verified: int = 0
    n_rows: int = 0
    families: dict[str, FamilyOutcome] = field(default_factory=dict)
    outside: list[Deviation] = field(default_factory=list)
    problems: dict[str, list[str]] = field(default_factory=dict)
    compared: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def flipped(self) -> list[str]:
        """Quantized families of which too many frames differ from librosa's."""
        return [name for name, one in self.families.items() if one.flipped > MAX_FLIPPED]

    @property
    def not_compared(self) -> dict[str, str]:
        """Entries with a librosa counterpart of which no value was compared, and why."""
        return {name: why for name, why in self.refused.items() if name not in self.compared}

    @property
    def exit_code(self) -> int:
        """Exit code of the command: a value differs, or nothing of an entry was compared."""
        if self.outside or self.flipped:
            return EXIT_DIFFERS
        return EXIT_FAILED if self.not_compared else EXIT_DONE

    def add(self, path: str, outcome: FileOutcome) -> None:
        """Add what was found about a file."""
        if outcome.problem:
            self.problems.setdefault(outcome.problem, []).append(path)
            return
        self.n_verified += 1
        self.n_rows += outcome.n_rows
        self.outside += outcome.outside
        self.compared |= outcome.compared
        self.refused.update(outcome.refused)
        for name, family in outcome.families.items():
            self.families.setdefault(name, FamilyOutcome()).add(family)

    def to_dict(self) -> dict[str, Any]:
        """Return the verification as a dictionary for JSON."""
        return {
            "location": self.location,
            "spec": self.preset,
            "files": self.n_files,
            "verified": self.n_verified,
            "rows": self.n_rows,
            "families": {
                name: {
                    "values": one.n_values,
                    "largest": one.largest and one.largest.to_dict(),
                    "frames": one.n_frames,
                    "flipped": one.n_flipped,
                    "notes": dict(one.notes),
                }
                for name, one in self.families.items()
            },
            "outside": [deviation.to_dict() for deviation in self.outside],
            "not_verified": self.problems,
            "not_compared": self.not_compared,
        }

    def rows(self) -> list[list[str]]:
        """Return a line of cells for each family, for people."""
        lines = []
        for name, one in sorted(self.families.items()):
            notes = [f"{n} {what}" for what, n in one.notes.items()]
            if one.n_frames:
                notes.insert(0, f"{one.flipped:.2%} of {one.n_frames} frames differ")
            if one.largest is None:
                lines.append([name, "", "", "", "; ".join(notes)])
                continue
            worst = one.largest
            where = _place(worst) if worst.share else ""
            lines.append([name, str(one.n_values), _share(worst.share), where, "; ".join(notes)])
        return lines

    def lines(self) -> list[str]:
        """Return what was verified, and what is outside of the tolerance, as lines of text."""
        done = f"{self.n_verified} of {self.n_files} files verified, {self.n_rows} rows"
        lines = [f"{self.location}: {done}, spec {self.preset}"]
        for problem, paths in self.problems.items():
            more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
            lines.append(f"not verified: {readable(paths[0])}{more}: {problem}")
        lines += [
            f"{name}: no value was compared: {why}" for name, why in self.not_compared.items()
        ]
        lines += [
            f"{name}: more than {MAX_FLIPPED:.0%} of the frames differ" for name in self.flipped
        ]
        n_values = sum(one.n_values for one in self.families.values())
        n_not = sum(one.n_not_compared for one in self.families.values())
        more = f"; {n_not} more were not compared" if n_not else ""
        lines.append(f"{len(self.outside)} of {n_values} values are outside of the tolerance{more}")
        for one in self.outside[:_OUTSIDE_SHOWN]:
            lines.append(f"    {_place(one)}: {one.value:.9g}, librosa {one.expected:.9g}")
        if len(self.outside) > _OUTSIDE_SHOWN:
            lines.append(f"    and {len(self.outside) - _OUTSIDE_SHOWN} more; --json prints all")
        return lines


def _share(share: float) -> str:
    return f"{share:.1%}" if share < 100 else f"{share:.3g} times"


def _place(deviation: Deviation) -> str:
    row = "" if not deviation.segment else f", segment {deviation.segment}"
    row += "" if deviation.channel is None else f", channel {deviation.channel}"
    return f"{deviation.column} of {readable(deviation.path)}{row}"


#: Called with the path of each file before it is verified.
OnFile = Callable[[str], None]


def verify_table(
    location: str,
    options: dict[str, Any],
    *,
    corpus_options: dict[str, Any] | None = None,
    sample: int = SAMPLE,
    spec: featurelib.FeatureSpec | None = None,
    on_file: OnFile = lambda path: None,
) -> Verification:
    """Compare the values of some files of a table with librosa's.

    The files are chosen by a hash of their paths, so they are the same ones each time.

    Parameters
    ----------
    location : str
        Location of the table.
    options, corpus_options : dict
        Storage options for fsspec, of the table and of its corpus.
    sample : int
        Number of files.
    spec : FeatureSpec, optional
        The table's spec, for a table whose features are defined in a file of the user.
    on_file : callable
        Called with the path of each file.

    Raises
    ------
    JobError
        If the table cannot be read, or no file can be verified.
    """
    if isinstance(sample, bool) or not isinstance(sample, Integral) or sample < 1:
        raise UsageError(f"--sample is {sample!r}: give a number of files, at least 1")
    table = open_table(location, options)
    check_features(table.metadata, table.store.url)
    spec = _spec_of(table, spec)
    corpus = location_from_canonical(table.metadata.corpus)
    with _unchanged(table):
        chosen, n_files = sample_files(table, sample)
    if not n_files:
        url = table.store.url
        raise TableError(f"{url} has no rows to verify; featurelib errors {url} tells why")
    names = [name for entry in spec.features for name in entry.column_names()]

    result = Verification(table.store.url, spec.name, n_files)

    def files() -> Iterator[SampledFile]:
        for part, paths in chosen.items():
            with _unchanged(table):
                found = list(files_of(table, part, paths, names))
            yield from found
            if gone := sorted({*paths} - {file.path for file in found}):
                result.problems.setdefault(_MOVED, []).extend(gone)

    _verify(result, files(), Request(spec, corpus, corpus_options or {}), on_file)
    if not result.n_verified and _MOVED in result.problems:
        raise _changed(table)
    if not result.n_verified:
        raise TableError(
            f"no file of {table.store.url} could be verified ({_problems(result)}): if its corpus"
            f" {table.metadata.corpus} has moved, say featurelib relocate first"
        )
    return result


@contextlib.contextmanager
def _unchanged(table: Table) -> Iterator[None]:
    """Context manager for reading parts, which a run may replace or delete."""
    try:
        yield
    except (ConflictError, FileNotFoundError) as error:
        raise _changed(table) from error


def _changed(table: Table) -> TableError:
    return TableError(f"{table.store.url} was changed by a run while it was verified: try again")


def verify_file(
    location: str,
    spec: featurelib.FeatureSpec,
    options: dict[str, Any] | None = None,
) -> Verification:
    """Compare the values that featurelib extracts from a file with librosa's.

    Parameters
    ----------
    location : str
        Path or URL of the file.
    spec : FeatureSpec
        The spec.
    options : dict, optional
        Storage options for fsspec.

    Raises
    ------
    JobError
        If the file cannot be verified.
    """
    folder, name = split_name(location)
    file = SampledFile(stored_name(location, name), None, 0.0, 1, [])
    result = Verification(redacted(location), spec.name)
    _verify(result, iter([file]), Request(spec, folder, options or {}), lambda path: None)
    if not result.n_verified:
        problem = next(iter(result.problems)).replace("not there any more", "there is no such file")
        raise JobError(f"{redacted(location)} cannot be verified: {problem}")
    return result


def _verify(
    result: Verification, files: Iterator[SampledFile], request: Request, on_file: OnFile
) -> None:
    with Process(request) as process:
        for file in files:
            on_file(file.path)
            result.add(file.path, process.verify(file))


def _problems(result: Verification) -> str:
    counts = Counter({problem: len(paths) for problem, paths in result.problems.items()})
    return ", ".join(f"{n} {problem}" for problem, n in counts.most_common(3))


def _spec_of(table: Table, given: featurelib.FeatureSpec | None) -> featurelib.FeatureSpec:
    """Return the spec of a table, made of its record, or the given one if it is the same."""
    metadata = table.metadata
    if given is None:
        if metadata.spec.get("import"):
            raise UsageError(
                f"{table.store.url} has features of a file of yours: say --config FILE.toml with"
                " the spec that made it"
            )
        try:
            given = featurelib.FeatureSpec.from_dict(metadata.spec)
        except featurelib.SpecError as error:
            raise TableError(
                f"the spec of {table.store.url} is not of this version: {error}"
            ) from error
    if given.fingerprint != metadata.fingerprint:
        raise UsageError(
            f"{table.store.url} was made with another spec, or by featurelib"
            f" {metadata.featurelib}, whose values for it differ: verify it with what made it"
        )
    return given
