"""The commands of classifiers: train and predict."""

from __future__ import annotations

import json
from typing import Any

import click

from jobs.cli.group import cli
from jobs.cli.options import common_options, options_of, settings_of, storage_option
from jobs.cli.output import print_lines, print_rows
from jobs.diagnostics.progress import progress_for_terminal

_TRAIN_EPILOG = """\b
Examples:
  featurelib train features/ --output genre.model
  featurelib train features/ --output genre.model --group-by artist --estimator svm
  featurelib train features/ --output digit.model --group-by 'name:*_{group}_*'
  featurelib train fma/ --output fma.model --split-column split --force

\b
Exit codes:
  0    done
  1    the table cannot be read, or the model cannot be written
  2    usage error: an option, or nothing to learn from
  130  ended by Ctrl-C; nothing is written
"""

_PREDICT_EPILOG = """\b
Examples:
  featurelib predict genre.model song.mp3
  featurelib predict genre.model new-music/ --output labels.csv
  featurelib predict genre.model features/ --output labels.parquet
  featurelib predict s3://bucket/genre.model s3://bucket/music --workers 8 --json

\b
Exit codes:
  0    done; files without features have no label, and the reason
  1    the model or the source cannot be read
  2    usage error: an option, or a table of another spec
  4    done, but some files could not be read (storage, network)
  130  ended by Ctrl-C; nothing is written
"""


@cli.command(epilog=_TRAIN_EPILOG, short_help="Train a classifier on a table.")
@click.argument("table")
@click.option("-o", "--output", metavar="MODEL", required=True, help="Path or URL of the model.")
@click.option(
    "--estimator",
    metavar="mlp|svm|extra-trees|gradient-boosting|logistic",
    default="mlp",
    help="The classifier (default mlp: a network of 256, 128 and 64 units).",
)
@click.option(
    "--group-by",
    metavar="COLUMN",
    multiple=True,
    help="Never separate files that share a value of this column, such as artist; or their folder"
    " (parent), or a part of their name (name:PATTERN with {group}); repeatable.",
)
@click.option("--folds", metavar="N", type=int, default=5, help="Number of folds (default 5).")
@click.option("--seed", metavar="N", type=int, default=0, help="Seed (default 0).")
@click.option(
    "--split-column",
    metavar="COLUMN",
    help="Official splits: train on training and validation, score on test; with other values,"
    " hold out each value once.",
)
@click.option("--include-partial", is_flag=True, help="Learn from damaged and cut files too.")
@click.option("--include-silent", is_flag=True, help="Learn from silent files too.")
@click.option("--force", is_flag=True, help="Replace the model and its pictures if they exist.")
@storage_option
@common_options
def train(
    table: str,
    output: str,
    estimator: str,
    group_by: tuple[str, ...],
    folds: int,
    seed: int,
    split_column: str | None,
    include_partial: bool,
    include_silent: bool,
    force: bool,
    storage_options: tuple[str, ...],
    as_json: bool,
    debug: bool,
) -> int:
    """Train a classifier on the features and labels of TABLE, and say how good it is.

    Only feature columns are used, never the length, rate or level of a file. In the
    cross-validation, the rows of one file and copies of it (equal audio_hash) are never on both
    sides of a split. The probability of a file is the mean over its segments, and each file weighs
    the same. MODEL is then trained on all files. Beside it are pictures of the confusion matrix
    (MODEL.confusion.png) and of the importance of features (MODEL.importance.png).

    Files that are silent or were decoded only in part are left out. Copies with different labels
    are listed.
    """
    with progress_for_terminal(quiet=as_json) as progress:
        from jobs.models.training import TrainingOptions
        from jobs.models.training import train as train_on

        options = TrainingOptions(
            estimator, group_by, folds, seed, split_column, include_partial, include_silent
        )
        stored = options_of(storage_options)
        result = train_on(table, output, options, stored, force=force, observer=progress)
    if as_json:
        click.echo(json.dumps(result.to_dict(), indent=1))
    else:
        print_lines(result.head_lines())
        print_rows(result.class_rows())
        print_lines(result.tail_lines())
    return 0


@cli.command(epilog=_PREDICT_EPILOG, short_help="Predict the labels of a table, corpus or file.")
@click.argument("model")
@click.argument("source")
@click.option("-o", "--output", metavar="FILE", help="File to write: .csv or .parquet.")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@click.option(
    "--workers", metavar="N", type=int, help="Number of local workers (default one per core)."
)
@storage_option
@common_options
def predict(
    model: str,
    source: str,
    output: str | None,
    force: bool,
    as_json: bool,
    debug: bool,
    **settings: Any,
) -> int:
    """Predict the labels of SOURCE with MODEL, which featurelib train has made.

    SOURCE is a table of the model's spec; or a corpus (a folder, URL, glob or list of files) or
    one audio file, whose features are extracted with the model's spec. Each file gets a label, and
    the output has a probability of each label. Files without features are listed with the reason.

    A large corpus is better extracted into a table first, since the extraction is not kept.
    """
    given, _ = settings_of(None, settings)
    with progress_for_terminal(quiet=as_json) as progress:
        from jobs.models.prediction import predict as predict_with

        result = predict_with(
            model, source, output=output, force=force, settings=given, observer=progress
        )
    if as_json:
        click.echo(json.dumps(result.to_dict(), indent=1))
    else:
        if output is None:
            print_rows(result.rows())
        print_lines(result.lines(), err=output is None)
    return result.exit_code
