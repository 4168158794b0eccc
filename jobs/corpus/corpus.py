"""`Corpus`: a location that can be listed page by page."""

from __future__ import annotations

import glob
import os
import posixpath
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast
from unicodedata import normalize

import pyarrow as pa
import pyarrow.compute as pc

from jobs.corpus.formats import has_audio_extension
from jobs.corpus.labels import LABEL
from jobs.corpus.passed_over import NOT_AUDIO, by_reason, count_extension
from jobs.corpus.path_labels import PathLabels
from jobs.corpus.patterns import Selection
from jobs.corpus.stated import stated_of
from jobs.errors import CorpusError
from jobs.storage.base import Entry, Page, Store
from jobs.storage.names import (
    decode_local,
    decode_path,
    encode_path,
    is_utf8,
    other_forms,
)
from jobs.storage.parallel import read_ahead
from jobs.storage.urls import is_url, protocol_of, real_location, redacted, stored_name

_STAT_AT_ONCE = 1000
_FILES_AT_ONCE = 8000

#: Columns of every listing; the carried columns of a list follow. They are named as in the
#: table, so that no carried column can have their names.
LISTING = pa.schema(
    [
        ("path", pa.string()),
        ("size_bytes", pa.int64()),
        ("source_version", pa.string()),
        (LABEL, pa.string()),
    ]
)


@dataclass
class Corpus:
    """A corpus, not yet listed.

    Attributes
    ----------
    root : str
        Canonical location to which paths are relative; the table records it.
    store : Store
        Store of the files.
    selection : Selection
        Decides which of the files belong to the corpus.
    path_labels : PathLabels, optional
        Rule by which each file's path gives its label.
    name : str
        The location as the user gave it, for errors.
    rows : pyarrow.Table, optional
        The rows of a file list. Without them the whole store is scanned.
    stated : pyarrow.Table, optional
        Sizes and versions that the list states, one row for each of `rows`.
    carried : pyarrow.Schema
        Carried columns of a list.
    passed_over : Counter
        Number of files passed over, by reason.
    not_audio : Counter
        Number of files passed over because of their extension, by extension.
    list_notes : list of str
        Notes for the user about a file list.
    n_other_form : int
        Number of listed paths that were matched in another form.
    n_not_utf8 : int
        Number of listed paths that are not UTF-8 and match no file.
    n_hidden_folders : int
        Number of hidden folders, which are passed over.
    by_name : callable, optional
        Returns the entries of files in any folder, by their names or stems, of those in a list.
    n_by_name : int
        Number of listed names whose file is in a folder.
    other_root : str, optional
        Another name of the root, by which lists may name its files.
    listed_elsewhere : callable, optional
        Yields the files of the store as a report lists them, which may be out of date.
    """

    root: str
    store: Store
    selection: Selection
    path_labels: PathLabels | None = None
    name: str = ""
    rows: pa.Table | None = None
    stated: pa.Table | None = None
    carried: pa.Schema = field(default_factory=lambda: pa.schema([]))
    passed_over: Counter[str] = field(default_factory=Counter)
    not_audio: Counter[str] = field(default_factory=Counter)
    list_notes: list[str] = field(default_factory=list)
    n_other_form: int = 0
    n_not_utf8: int = 0
    n_hidden_folders: int = 0
    by_name: Callable[[], Mapping[str, Entry]] | None = None
    n_by_name: int = 0
    other_root: str | None = None
    listed_elsewhere: Callable[[], Iterator[Page]] | None = None

    @property
    def roots(self) -> tuple[str, ...]:
        """The root, and its other names."""
        return names_of_root(self.root, self.other_root)

    @property
    def notes(self) -> list[str]:
        """Notes for the user; complete after the listing."""
        notes = list(self.list_notes)
        if self.n_other_form:
            notes.append(in_another_form(self.n_other_form, self.name))
        if self.n_by_name:
            notes.append(by_their_names(self.n_by_name, self.name))
        if self.n_not_utf8:
            notes.append(
                f"{self.n_not_utf8} paths in {self.name} are not UTF-8 and name no file: if the"
                " list is in another encoding, such as Windows-1252, save it as UTF-8"
            )
        return notes

    @property
    def complete(self) -> bool:
        """Whether the listing has every file, so that a file not in it was deleted."""
        is_scanned = self.rows is None and self.listed_elsewhere is None
        return is_scanned and self.selection.everything

    @property
    def is_stated(self) -> bool:
        """Whether sizes and versions are those that a list states."""
        return self.stated is not None or self.listed_elsewhere is not None

    @property
    def address(self) -> str:
        """Location by which workers open the store. It may hold a password: do not show it."""
        return self.store.address

    @property
    def has_labels(self) -> bool:
        """Whether the corpus is a list with a column of labels."""
        return self.rows is not None and LABEL in self.rows.column_names

    @property
    def schema(self) -> pa.Schema:
        """Columns of the listing's rows."""
        return pa.schema([*LISTING, *self.carried])

    def release(self) -> None:
        """Release the memory of a file list, which cannot be listed again."""
        if self.rows is not None:
            self.rows = self.rows.schema.empty_table()
        if self.stated is not None:
            self.stated = self.stated.schema.empty_table()

    def pages(self) -> Iterator[pa.Table]:
        """Yield the listing page by page.

        Raises
        ------
        CorpusError
            If any part of the corpus cannot be listed: an incomplete listing must not
            look like a smaller corpus.
        """
        n_listed = 0
        try:
            for page in self._listed():
                if self.selection.limit is not None:
                    page = page.slice(0, self.selection.limit - n_listed)
                n_listed += len(page)
                if len(page):
                    yield page
                if self.selection.limit is not None and n_listed >= self.selection.limit:
                    return
        except OSError as error:
            raise CorpusError(explain(error, self.root)) from error
        if n_listed == 0:
            others = by_reason(self.passed_over, self.not_audio)
            raise CorpusError(
                f"no audio files in {self.name or self.root}"
                + (f" (passed over: {others})" if others else "")
                + ": give another folder, glob or list of files"
            )

    def _listed(self) -> Iterator[pa.Table]:
        if self.rows is None:
            for page in self._scanned():
                yield self._selected(self._page(page))
            if self.n_hidden_folders:
                self.passed_over["hidden"] += self.n_hidden_folders
            return
        n_rows = _STAT_AT_ONCE if self.stated is None else _FILES_AT_ONCE
        for start in range(0, len(self.rows), n_rows):
            rows = self.rows.slice(start, n_rows)
            page = self._page(self._entries(rows["path"].to_pylist(), start), rows)
            # of names, the paths to which patterns apply are known only now
            yield page if self.by_name is None else self._matching(page)

    def _scanned(self) -> Iterator[Page]:
        """Yield what the store has, in larger pages: each costs as much as many files."""
        names: list[str] = []
        sizes: list[int] = []
        versions: list[str] = []
        is_limited = self.selection.limit is not None  # to the same files every time
        n_enough = 1 if is_limited else _FILES_AT_ONCE
        if self.listed_elsewhere is not None:
            pages = self.listed_elsewhere()
        else:
            pages = self.store.scan(descend=self._descends, in_order=is_limited)
        for page in read_ahead(pages):
            names += page.names
            sizes += page.sizes
            versions += page.versions
            if len(names) >= n_enough:
                yield Page(names, sizes, versions)
                names, sizes, versions = [], [], []
        if names:
            yield Page(names, sizes, versions)

    def _entries(self, paths: list[str], start: int) -> Page:
        """Return the entries of the rows from `start` on; look up those that are not stated."""
        sizes: list[int | None] = [None] * len(paths)
        versions = [""] * len(paths)
        if self.stated is not None:
            sizes, versions = self._stated_in(paths, self.stated.slice(start, len(paths)))
        unknown = [index for index, size in enumerate(sizes) if size is None]
        entries = self._look_up([paths[i] for i in unknown])
        for index, entry in zip(unknown, self._named(entries), strict=True):
            paths[index], sizes[index], versions[index] = entry
        return Page(paths, cast("list[int]", sizes), versions)

    def _named(self, entries: list[Entry]) -> list[Entry]:
        """Return entries; one without a file may be the name or stem of a file in any folder."""
        if self.by_name is None or all(entry.size >= 0 for entry in entries):
            return entries
        files = self.by_name()
        named = [
            entry if entry.size >= 0 else files.get(normalize("NFC", entry.name), entry)
            for entry in entries
        ]
        self.n_by_name += sum(a is not b for a, b in zip(named, entries, strict=True))
        return named

    def _stated_in(self, paths: list[str], rows: pa.Table) -> tuple[list[int | None], list[str]]:
        """Return the stated sizes and versions of some rows; the size is None if unknown."""
        columns = (rows[name].to_pylist() for name in ("size", "tag", "version", "modified"))
        sizes: list[int | None] = []
        versions = []
        for path, *values in zip(paths, *columns, strict=True):
            stated = stated_of(*values)
            sizes.append(None if stated is None else stated.size)
            versions.append("" if stated is None else self.store.stated_version(path, stated))
        return sizes, versions

    def _look_up(self, paths: list[str]) -> list[Entry]:
        """Return the entries of paths; a file may be there in another form of its path."""
        entries = self.store.stat(paths) if paths else []
        forms = {
            index: [
                relative_path(form, self.root)
                for form in other_forms(paths[index])
                if is_url(form) == is_url(paths[index])  # a name was not checked as a URL
            ]
            for index, entry in enumerate(entries)
            if entry is None
        }
        asked = sorted({form for path_forms in forms.values() for form in path_forms})
        existing = {e.name: e for e in (self.store.stat(asked) if asked else []) if e is not None}
        for index, path_forms in forms.items():
            matches = existing.keys() & set(path_forms)
            if len(matches) == 1:
                entries[index] = existing[matches.pop()]
                self.n_other_form += 1
            elif not is_utf8(paths[index]):
                self.n_not_utf8 += 1
        return [entry or Entry(path, -1, "") for path, entry in zip(paths, entries, strict=True)]

    def look_up(self, paths: Sequence[str]) -> Iterator[list[Entry]]:
        """Yield the current entries of files, page by page; ignore what the list states.

        Raises
        ------
        CorpusError
            If the storage fails.
        """
        for start in range(0, len(paths), _STAT_AT_ONCE):
            try:
                yield self._look_up([*paths[start : start + _STAT_AT_ONCE]])
            except OSError as error:
                raise CorpusError(explain(error, self.root)) from error

    def _page(self, page: Page, rows: pa.Table | None = None) -> pa.Table:
        paths = pa.array(page.names, pa.string())
        sizes = pa.array(page.sizes, pa.int64())
        labels: pa.Array = pa.nulls(len(page), pa.string())
        if self.path_labels is not None:
            labels = self.path_labels.of(paths)
        elif rows is not None and LABEL in rows.column_names:
            labels = rows[LABEL]
        columns = [
            paths,
            pc.if_else(pc.less(sizes, 0), None, sizes),
            pa.array(page.versions, pa.string()),
            labels,
        ]
        if rows is not None:
            columns += [rows[f.name].cast(f.type) for f in self.carried]
        return pa.Table.from_arrays(columns, schema=self.schema)

    def _descends(self, folder: str) -> bool:
        if posixpath.basename(folder).startswith("."):
            self.n_hidden_folders += 1  # apart, since another thread lists
            return False
        return self.selection.descends(folder)

    def _selected(self, page: pa.Table) -> pa.Table:
        """Return the files of a page that belong to the corpus; count the others."""
        paths = page["path"].combine_chunks()
        is_hidden = pc.or_(pc.starts_with(paths, "."), pc.match_substring(paths, "/."))
        if n_hidden := is_hidden.true_count:
            self.passed_over["hidden"] += n_hidden
            page = page.filter(pc.invert(is_hidden))
            paths = page["path"].combine_chunks()
        is_audio = has_audio_extension(paths)
        if is_audio.true_count < len(page):
            self._pass_over(page.filter(pc.invert(is_audio)))
            page = page.filter(is_audio)
        return self._matching(page)

    def _matching(self, page: pa.Table) -> pa.Table:
        """Return the files of a page that the patterns take; count the others."""
        if not self.selection.has_patterns:
            return page
        takes = self.selection.taken(page["path"])
        if n_others := len(page) - takes.true_count:
            self.passed_over["filtered out"] += n_others
        return page.filter(takes)

    def _pass_over(self, page: pa.Table) -> None:
        """Count files without an audio extension."""
        files = zip(page["path"].to_pylist(), page["size_bytes"].to_pylist(), strict=True)
        for path, size in files:
            if size is None and self.selection.descends(path):
                raise CorpusError(
                    f"{self.root}/{path} is a link to nothing, maybe to a folder that is not"
                    " mounted: its files would be lost from the table. Mount it, or leave the"
                    f" link out with --exclude {shlex.quote(glob.escape(path))}"
                )
            count_extension(self.not_audio, path)
        self.passed_over[NOT_AUDIO] += len(page)


def in_another_form(n: int, name: str) -> str:
    """Return a note about paths matched by `jobs.storage.names.other_forms`."""
    return (
        f"{n} paths in {name} name files whose own names are written in another form (composed or"
        " decomposed letters, / or \\) and were matched"
    )


def by_their_names(n: int, name: str) -> str:
    """Return a note about names that were matched with files in any folder."""
    return (
        f"{n} names in {name} are those of files in other folders, or without their extension, and"
        " were matched"
    )


def names_of_root(root: str, other: str | None) -> tuple[str, ...]:
    """Return a root, another name of it, and its name without links."""
    real = real_location(root).rstrip("/") or "/"
    return tuple(dict.fromkeys(name for name in (root, other, real) if name is not None))


def relative_path(path: str, root: str) -> str:
    """Return the stored form of a listed path: relative if below the root, else full."""
    if is_url(path):
        if protocol_of(path) == "file":
            path = path.partition("://")[2]
        else:
            path = redacted(path)
            rest = path.removeprefix(f"{root}/")
            # a key that looks like a URL must not become one, which may name any place
            return path if is_url(rest) else rest
    if is_url(root):
        return path.lstrip("/")
    full = os.path.normpath(os.path.join(decode_path(root), decode_path(path)))
    stored = encode_path(full)
    base = root.rstrip("/") + "/"
    return stored[len(base) :] if stored.startswith(base) else stored


def relative_paths(paths: pa.ChunkedArray, roots: Sequence[str]) -> pa.Array:
    """Return `relative_path` of each path, for the first root that is above it.

    Most lists have only paths that are relative already.
    """
    paths = paths.combine_chunks()
    # may be absolute, a URL, or not normalized
    is_other = pc.equal(paths, "")
    for test, text in (
        (pc.starts_with, "/"),
        (pc.starts_with, "."),
        (pc.match_substring, "/."),
        (pc.match_substring, "//"),
        (pc.match_substring, "\\"),
        (pc.ends_with, "/"),
    ):
        is_other = pc.or_(is_other, test(paths, text))
    others = [_relative_to_any(path, roots) for path in paths.filter(is_other).to_pylist()]
    return pc.replace_with_mask(paths, is_other, pa.array(others, pa.string()))


def _relative_to_any(path: str, roots: Sequence[str]) -> str:
    """Return the path relative to the first of some names of a root; else relative to the first."""
    first, *others = roots
    form = relative_path(path, first)
    if path.startswith("/") and form.startswith("/"):
        forms = (relative_path(path, root) for root in others)
        return next((other for other in forms if not other.startswith("/")), form)
    return form


def explain(error: OSError, root: str) -> str:
    """Return a message with the cause and remedy of an error while reading below `root`."""
    where = stored_name(root, error.filename) if isinstance(error.filename, str) else root
    if isinstance(error, PermissionError):
        below = os.path.relpath(where, root) if error.filename and not is_url(root) else ".."
        if below == "." or below.startswith(".."):
            # without strerror it is the storage's own message, which names the remedy
            reason = f"{error.strerror}: ask for access" if error.strerror else str(error)
            return f"no permission to read {root}: {reason}"
        if os.path.isdir(decode_local(where)):
            pattern = glob.escape(below) + "/*"
        else:
            pattern = glob.escape(os.path.dirname(below) or below) + ("/*" if "/" in below else "")
        return (
            f"no permission to read {where}: files would be lost from the table. Give access, or"
            f" leave them out with --exclude {shlex.quote(pattern)}"
        )
    if isinstance(error, FileNotFoundError):
        return f"cannot find {where} ({error.strerror or error}): check the name"
    return f"cannot list {root}: {error}"
