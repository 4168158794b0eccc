"""The Python interface: `extract_corpus`, `export_table`, `train_model`, `predict` and more."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import featurelib
from jobs import verification
from jobs.diagnostics.events import Observer, broadcast, ignore
from jobs.diagnostics.hooks import hooks
from jobs.diagnostics.progress import progress_for_terminal
from jobs.diagnostics.run_report import RunReport
from jobs.errors import UsageError
from jobs.execution import forkserver
from jobs.execution.opening import executor_opener
from jobs.export import Export, export
from jobs.images.request import image_request
from jobs.images.style import image_style
from jobs.models.prediction import Predictions
from jobs.models.prediction import predict as predict_labels
from jobs.models.training import Training, TrainingOptions, train
from jobs.repartition import Repartition, repartition
from jobs.request import RunRequest
from jobs.run import plan_job, run_job
from jobs.settings import Settings, storage_texts, with_values
from jobs.verification import SAMPLE, Verification

if TYPE_CHECKING:
    import distributed

    from jobs.report.writing import Page


def extract_corpus(
    corpus: str | os.PathLike[str],
    table: str | os.PathLike[str],
    *,
    spec: str | featurelib.FeatureSpec | None = None,
    preset: str | None = None,
    client: distributed.Client | None = None,
    progress: bool = False,
    observer: Observer | None = None,
    dry_run: bool = False,
    **settings: Any,
) -> RunReport:
    """Make or update the feature table of a corpus of audio files.

    Parameters
    ----------
    corpus : str or path
        A folder, ``s3://bucket/prefix`` or another fsspec URL, a glob, or a file list.
    table : str or path
        Folder or URL of the table; created if missing.
    spec : str or FeatureSpec, optional
        A spec or the name of a preset; ``genre-v1`` by default.
    preset : str, optional
        Name of a preset, instead of `spec`.
    client : distributed.Client, optional
        Client of the cluster to use. By default the run starts a cluster as in `settings`,
        which is an embedded local cluster unless set otherwise. Its scheduler must be on this
        machine or use TLS.
    progress : bool
        Show a bar on a terminal or in a notebook, or lines elsewhere.
    observer : callable, optional
        Receives every event of the run, see `jobs.diagnostics.events`; also with `progress`.
    dry_run : bool
        Only plan: write nothing, and return the plan in the report.
    **settings
        See `jobs.settings.Settings`: ``labels``, ``workers``, ``max_failed``, …;
        ``storage_options`` may be a dict.

    Returns
    -------
    RunReport
        Counts, times and notes of the run.

    Raises
    ------
    JobError
        If the run fails; the message names the cause and the remedy in one line.
    featurelib.SpecError
        If the spec is not valid.

    Examples
    --------
    >>> from jobs import extract_corpus
    >>> report = extract_corpus("music", "table", labels="parent", cluster="inline")
    >>> report.n_files, report.n_errors
    (4, 0)

    Run it again, and only new and changed files are read:

    >>> extract_corpus("music", "table", labels="parent", cluster="inline").n_read
    0
    """
    request = RunRequest(
        os.fspath(corpus),
        os.fspath(table),
        featurelib.get_spec(spec, preset=preset),
        with_values(Settings(), _plain(settings), "extract_corpus"),
    )
    return _run(request, client, progress, observer, dry_run=dry_run)


def make_spectrograms(
    corpus: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    style: str = "librosa",
    width: int | None = None,
    height: int | None = None,
    colormap: str | None = None,
    scale: str | None = None,
    top_db: float | str | None = None,
    duration: float | str | None = None,
    segment: float | None = None,
    last: str | None = None,
    sr: int | None = None,
    n_fft: int | None = None,
    hop_length: int | None = None,
    n_mels: int | None = None,
    client: distributed.Client | None = None,
    progress: bool = False,
    observer: Observer | None = None,
    dry_run: bool = False,
    **settings: Any,
) -> RunReport:
    """Make or update the spectrogram images of a corpus of audio files.

    Parameters
    ----------
    corpus : str or path
        A folder, ``s3://bucket/prefix`` or another fsspec URL, a glob, or a file list.
    output : str or path
        Folder or URL; created if missing. ``images/<label>/`` has the images, and ``index/``
        a Parquet table with a row for each.
    style : {"librosa", "tutorial"}
        Values that are not given: those of `librosa.stft` and a mel spectrogram, or those of
        `matplotlib.pyplot.specgram` in a widely copied tutorial (the first 5 s, NFFT 2048,
        overlap 128, inferno).
    width, height : int, optional
        Size of an image [pixels]; 256 and 128 by default (``tutorial``: 256 and 256).
    colormap : str, optional
        Name of one of matplotlib's colour maps; ``magma`` by default.
    scale : {"mel", "linear"}, optional
        Scale of the frequency axis; ``mel`` by default.
    top_db : float or "auto", optional
        Range of the colours below the largest level [dB], 80 by default; ``"auto"`` for down to
        the smallest level.
    duration : float or "all", optional
        Duration from the beginning of each file [s]; ``"all"`` by default.
    segment : float, optional
        Make an image of each segment of this duration [s].
    last : {"pad", "drop", "keep"}, optional
        A shorter last segment is padded with silence, left out, or drawn as wide as the others.
    sr : int, optional
        Sampling rate to which signals are resampled [Hz]; 22 050 by default.
    n_fft, hop_length : int, optional
        Length of a frame, and distance between frames [samples]; 2048 and 512 by default.
    n_mels : int, optional
        Number of mel bands; 128 by default.
    client, progress, observer, dry_run
        As for `extract_corpus`.
    **settings
        See `jobs.settings.Settings`: ``labels``, ``include``, ``limit``, ``workers``, …

    Returns
    -------
    RunReport
        Counts, times and notes of the run.

    Raises
    ------
    JobError
        If the run fails; the message names the cause and the remedy in one line.
    featurelib.SpecError
        If values do not fit together.
    featurelib.MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> from jobs import make_spectrograms
    >>> report = make_spectrograms("music", "pictures", labels="parent", cluster="inline")
    >>> report.n_files, report.n_errors
    (4, 0)
    """
    request = image_request(
        os.fspath(corpus),
        os.fspath(output),
        image_style(
            style,
            width=width,
            height=height,
            colormap=colormap,
            scale=scale,
            top_db=top_db,
            duration=duration,
            segment=segment,
            last=last,
            sr=sr,
            n_fft=n_fft,
            hop_length=hop_length,
            n_mels=n_mels,
        ),
        with_values(Settings(), _plain(settings), "make_spectrograms"),
    )
    return _run(request, client, progress, observer, dry_run=dry_run)


def _run(
    request: RunRequest,
    client: distributed.Client | None,
    progress: bool,
    observer: Observer | None,
    *,
    dry_run: bool,
) -> RunReport:
    if isinstance(client, str):
        raise UsageError(
            f"client={client!r} is an address: give a distributed.Client, or cluster={client!r}"
        )
    with contextlib.ExitStack() as stack:
        hook = ignore if dry_run else stack.enter_context(hooks(request.settings, request.table))
        shown = stack.enter_context(progress_for_terminal(quiet=not progress))
        notify = broadcast(shown, hook, observer or ignore)
        opener = executor_opener(request.settings, client)
        if dry_run:
            return plan_job(request, notify)
        if client is None:
            stack.enter_context(forkserver.ahead_of(request.settings, request.table))
        return run_job(request, opener, notify)


def export_table(
    table: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    layout: str | None = None,
    force: bool = False,
    storage_options: Mapping[str, Any] | None = None,
) -> Export:
    """Write a feature table to one file.

    Rows are sorted by path, channel and segment. Memory does not grow with the number of rows.
    The file appears when it is complete.

    Parameters
    ----------
    table : str or path
        Folder or URL of the table.
    output : str or path
        Path or URL of the file.
    layout : {"gtzan", "fma", "tutorial", "csv", "parquet", "npz", "arrow"}, optional
        The CSV layout of a published table, or a format for all columns; by default the format
        that the extension of `output` names.
    force : bool
        Replace the file if it exists.
    storage_options : mapping, optional
        Options for fsspec.

    Returns
    -------
    Export
        Location, and numbers of rows and columns.

    Raises
    ------
    JobError
        If the table cannot be read, does not have the columns of the layout, or the file
        exists; the message names the cause and the remedy in one line.

    Examples
    --------
    >>> from jobs import export_table, extract_corpus
    >>> report = extract_corpus("music", "tutorial", preset="tutorial-v1", cluster="inline")
    >>> export_table("tutorial", "features.csv", layout="tutorial").n_columns
    28
    """
    plain = _plain({"storage_options": storage_options or {}})
    options = with_values(Settings(), plain, "export_table").options_for("table")
    return export(os.fspath(table), os.fspath(output), layout, options, force=force)


def repartition_table(
    table: str | os.PathLike[str],
    new: str | os.PathLike[str],
    *,
    buckets: int | None = None,
    partition_by: str | None = None,
    progress: bool = False,
    observer: Observer | None = None,
    **settings: Any,
) -> Repartition:
    """Copy a table into a new one with another number of hash buckets, or other partitions.

    The copy becomes a table when it is complete. If it was interrupted, another call goes on
    with it. Memory does not grow with the table.

    Parameters
    ----------
    table : str or path
        Folder or URL of the table. It is not changed.
    new : str or path
        Folder or URL of the copy.
    buckets : int, optional
        Number of hash buckets of the copy; by default from the table's size, for parts of about
        50 MB.
    partition_by : {"label", "none"}, optional
        Partitioning of the copy; by default that of the table.
    progress : bool
        Show a bar on a terminal or in a notebook, or lines elsewhere.
    observer : callable, optional
        Receives every event, see `jobs.diagnostics.events`; also with `progress`.
    **settings
        See `jobs.settings.Settings`: ``storage_options``, which may be a dict,
        ``single_writer`` and ``lease_period_s``.

    Returns
    -------
    Repartition
        Locations and counts.

    Raises
    ------
    JobError
        If the table cannot be read, is written meanwhile, or the new location holds something;
        the message names the cause and the remedy in one line.

    Examples
    --------
    >>> from jobs import extract_corpus, repartition_table
    >>> report = extract_corpus("music", "table", labels="parent", cluster="inline")
    >>> repartition_table("table", "larger", buckets=8).n_buckets
    8
    """
    values = with_values(Settings(), _plain(settings), "repartition_table")
    with progress_for_terminal(quiet=not progress) as shown:
        notify = shown if observer is None else broadcast(shown, observer)
        return repartition(
            os.fspath(table),
            os.fspath(new),
            buckets=buckets,
            partition_by=partition_by,
            settings=values,
            observer=notify,
        )


def verify_table(
    table: str | os.PathLike[str],
    *,
    sample: int = SAMPLE,
    spec: str | featurelib.FeatureSpec | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Verification:
    """Compare the values of some files of a feature table with librosa's.

    Their audio is read again, and librosa runs in a process of its own. The files are the same
    ones each time.

    Parameters
    ----------
    table : str or path
        Folder or URL of the table.
    sample : int
        Number of files.
    spec : str or FeatureSpec, optional
        The table's spec, or the name of its preset; needed only for features of your own.
    storage_options : mapping, optional
        Options for fsspec, of the corpus and the table.

    Returns
    -------
    Verification
        Largest deviations by family, and the values that are outside of the tolerance.

    Raises
    ------
    JobError
        If the table cannot be read, or no file can be verified; the message names the cause
        and the remedy in one line.

    Examples
    --------
    >>> from jobs import extract_corpus, verify_table
    >>> report = extract_corpus("music", "tutorial", preset="tutorial-v1", cluster="inline")
    >>> verify_table("tutorial", sample=1).outside
    []
    """
    plain = _plain({"storage_options": storage_options or {}})
    settings = with_values(Settings(), plain, "verify_table")
    return verification.verify_table(
        os.fspath(table),
        settings.options_for("table"),
        corpus_options=settings.options_for("corpus"),
        sample=sample,
        spec=None if spec is None else featurelib.get_spec(spec),
    )


def train_model(
    table: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    force: bool = False,
    progress: bool = False,
    storage_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> Training:
    """Train a classifier on the features and labels of a table, and cross-validate it.

    No group of files is on both sides of a split: the rows of a file, copies of it (equal
    ``audio_hash``), and what `group_by` joins. Each file weighs the same, however long it is.

    Parameters
    ----------
    table : str or path
        Folder or URL of the table.
    output : str or path
        Path or URL of the model. Beside it are two pictures, ``<output>.confusion.png`` and
        ``<output>.importance.png``.
    force : bool
        Replace files that exist.
    progress : bool
        Show what is done on a terminal or in a notebook, or lines elsewhere.
    storage_options : mapping, optional
        Options for fsspec.
    **options
        See `jobs.models.training.TrainingOptions`: ``estimator``, ``group_by``, ``folds``,
        ``seed``, ``split_column``, ``partial``, ``silent``.

    Returns
    -------
    Training
        Scores, and what was left out.

    Raises
    ------
    JobError
        If the table cannot be read, there is nothing to learn from, or a file exists; the
        message names the cause and the remedy in one line.
    featurelib.MissingExtraError
        If ``featurelib[ml]`` is not installed.

    Examples
    --------
    >>> from jobs import extract_corpus, train_model
    >>> report = extract_corpus("music", "table", labels="parent", cluster="inline")
    >>> training = train_model("table", "genre.model", estimator="logistic")
    >>> training.result.classes
    ['blues', 'rock']
    >>> training.outputs[0]
    'genre.model'
    """
    plain = _plain({"storage_options": storage_options or {}})
    stored = with_values(Settings(), plain, "train_model").options_for("table")
    with progress_for_terminal(quiet=not progress) as observer:
        return train(
            os.fspath(table),
            os.fspath(output),
            TrainingOptions.of(**options),
            stored,
            force=force,
            observer=observer,
        )


def predict(
    model: str | os.PathLike[str],
    source: str | os.PathLike[str],
    *,
    output: str | os.PathLike[str] | None = None,
    force: bool = False,
    progress: bool = False,
    **settings: Any,
) -> Predictions:
    """Predict the labels of a table, a corpus or one audio file.

    Parameters
    ----------
    model : str or path
        Path or URL of a model that `train_model` has written.
    source : str or path
        A table of the model's spec; or a corpus, as for `extract_corpus`, or one audio file,
        whose features are extracted with the model's spec.
    output : str or path, optional
        Path or URL of a file to write, ending in ``.csv`` or ``.parquet``.
    force : bool
        Replace the file if it exists.
    progress : bool
        Show the progress of the extraction.
    **settings
        How a corpus is extracted, as for `extract_corpus`: ``workers``, ``include``,
        ``storage_options``, …

    Returns
    -------
    Predictions
        ``frame`` has a row for each file: its path, label, and the probability of each label.

    Raises
    ------
    JobError
        If the model or the source cannot be read, or the table has another spec; the message
        names the cause and the remedy in one line.
    featurelib.MissingExtraError
        If ``featurelib[ml]`` is not installed.

    Examples
    --------
    >>> from jobs import extract_corpus, predict, train_model
    >>> report = extract_corpus("music", "table", labels="parent", cluster="inline")
    >>> training = train_model("table", "my.model", estimator="logistic")
    >>> predict("my.model", "music/rock/rock.00000.wav").frame["label"].tolist()
    ['rock']
    """
    with progress_for_terminal(quiet=not progress) as observer:
        return predict_labels(
            os.fspath(model),
            os.fspath(source),
            output=None if output is None else os.fspath(output),
            force=force,
            settings=with_values(Settings(), _plain(settings), "predict"),
            observer=observer,
        )


def write_report(
    table: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    force: bool = False,
    storage_options: Mapping[str, Any] | None = None,
) -> Page:
    """Write one HTML page about a feature table: what is in it, and what is wrong with it.

    The page opens offline and loads nothing. The same table gives the same page. It appears when
    it is complete.

    Parameters
    ----------
    table : str or path
        Folder or URL of the table.
    output : str or path
        Path or URL of the page.
    force : bool
        Replace the file if it exists.
    storage_options : mapping, optional
        Options for fsspec.

    Returns
    -------
    Page
        Location and size of the page, and the findings on it.

    Raises
    ------
    JobError
        If the table cannot be read, or the file exists; the message names the cause and the
        remedy in one line.
    featurelib.MissingExtraError
        If libraries for reports are not installed (``pip install 'featurelib[report]'``).

    Examples
    --------
    >>> from jobs import extract_corpus, write_report
    >>> report = extract_corpus("music", "table", labels="parent", cluster="inline")
    >>> page = write_report("table", "report.html")
    >>> page.n_files, page.n_errors
    (4, 0)
    """
    from jobs.report.writing import write_report as write

    plain = _plain({"storage_options": storage_options or {}})
    options = with_values(Settings(), plain, "write_report").options_for("table")
    return write(os.fspath(table), os.fspath(output), options, force=force)


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    options = settings.get("storage_options")
    if isinstance(options, Mapping):
        settings["storage_options"] = tuple(storage_texts(options))
    return {
        name: list(value) if isinstance(value, tuple | list) else value
        for name, value in settings.items()
    }
