"""The process in which librosa computes the values of files again.

It gets a spec and the store of the corpus, and then files over a connection.
"""

from __future__ import annotations

import sys
from multiprocessing.connection import Connection

import numpy as np

import featurelib
from jobs.errors import JobError
from jobs.execution.child import die_with
from jobs.storage.base import Fetched, Store
from jobs.storage.listed import ListedStore
from jobs.storage.opening import open_store
from jobs.storage.urls import is_url
from jobs.verification.comparison import Comparison, Place, segment_of, signals
from jobs.verification.outcomes import FileOutcome
from jobs.verification.process import Request
from jobs.verification.sampling import MAX_S, SampledFile


def main(descriptor: int, parent: int) -> None:
    """Verify the files that come over a connection, until it is closed.

    Parameters
    ----------
    descriptor : int
        File descriptor of the connection.
    parent : int
        Process ID of the parent.
    """
    die_with(parent)
    connection = Connection(descriptor)
    try:
        request: Request = connection.recv()
        store = open_store(request.corpus, request.options)
        listed = ListedStore(store, request.options)
        comparison = Comparison(request.spec)
        connection.send("ready")
        while True:
            file = connection.recv()
            connection.send(verify(file, request.spec, store, listed, comparison))
    except (EOFError, BrokenPipeError):  # there are no more files
        return


def verify(
    file: SampledFile,
    spec: featurelib.FeatureSpec,
    store: Store,
    listed: ListedStore,
    comparison: Comparison,
) -> FileOutcome:
    """Compare the rows of a file with librosa's values.

    Parameters
    ----------
    file : SampledFile
        The file and its rows; without rows, featurelib extracts them.
    spec : FeatureSpec
        The spec.
    store : Store
        Store of the corpus.
    listed : ListedStore
        The same for files that a list named by URLs.
    comparison : Comparison
        The comparison with librosa.
    """
    outcome = FileOutcome()
    if file.duration_s > MAX_S:
        outcome.problem = f"longer than {MAX_S / 60:g} minutes"
        return outcome
    try:
        fetched = _fetched(file.path, store, listed)
    except FileNotFoundError:
        outcome.problem = "not there any more"
        return outcome
    except (OSError, JobError) as error:
        outcome.problem = f"cannot be read: {getattr(error, 'strerror', None) or error}"
        return outcome
    try:
        if file.version not in (None, fetched.version):
            outcome.problem = "changed since its rows were made"
            return outcome
        _compare(file, fetched, spec, comparison, outcome)
        if not fetched.is_unchanged():
            return FileOutcome("changed while it was read")
    except featurelib.AudioError as error:
        outcome.problem = f"{error.kind}: {error}"
    except OSError as error:
        outcome.problem = f"cannot be read: {error.strerror or error}"
    except MemoryError:
        outcome.problem = "needs more memory than there is"
    finally:
        fetched.close()
    return outcome


def _fetched(path: str, store: Store, listed: ListedStore) -> Fetched:
    """Return a file of the corpus; of a URL only if no file of the corpus has this name."""
    try:
        return store.fetch(path)
    except (FileNotFoundError, PermissionError):  # S3 may answer 403 where there is none
        if not is_url(path):
            raise
    listed.check([path], store.url)
    return listed.fetch(path)


def _compare(
    file: SampledFile,
    fetched: Fetched,
    spec: featurelib.FeatureSpec,
    comparison: Comparison,
    outcome: FileOutcome,
) -> None:
    rows, n_streams = file.rows, file.n_streams
    if not rows:
        columns = featurelib.extract_columns(fetched.source, spec)
        n_streams = columns["n_streams"][0]
        rows = [
            dict(zip(columns, values, strict=True))
            for values in zip(*columns.values(), strict=True)
        ]
    # the streams of one file are resampled one by one, which librosa cannot know
    is_joined = n_streams > 1
    y, sr = featurelib.load(
        fetched.source,
        sr=spec.fixed_sr if is_joined else None,
        mono=is_joined and spec.channels == "mix",
        offset=spec.offset,
        duration=spec.duration,
    )
    for channel, samples, rate in signals(y, sr, spec):
        for row in rows:
            if row["channel"] == channel:
                part = segment_of(samples, rate, spec.level, row["segment"])
                place = Place(file.path, channel, row["segment"])
                comparison.compare(np.ascontiguousarray(part), rate, row, place, outcome)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
