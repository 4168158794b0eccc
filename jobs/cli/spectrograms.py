"""The command that makes images: spectrograms."""

from __future__ import annotations

import contextlib
from typing import Any

import click

from jobs.cli.group import cli
from jobs.cli.options import common_options, settings_of
from jobs.cli.running import (
    EXIT_CODES,
    cluster_options,
    corpus_options,
    hooks_of,
    print_report,
    progress_of,
    update_options,
    watch_options,
)
from jobs.diagnostics.events import broadcast
from jobs.execution import forkserver

_EPILOG = f"""\b
Examples:
  featurelib spectrograms music/ --output pictures/ --labels parent
  featurelib spectrograms music/ --output pictures/ --width 224 --height 224 --duration 30
  featurelib spectrograms music/ --output pictures/ --labels parent --segment 3
  featurelib spectrograms music/ --output pictures/ --labels parent --style tutorial

{EXIT_CODES}"""


class _NumberOr(click.ParamType):
    """A number, or a word for no limit."""

    name = "number"

    def __init__(self, word: str) -> None:
        self._word = word

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | str:
        if value == self._word:
            return self._word
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor {self._word!r}", param, ctx)


@cli.command(epilog=_EPILOG, short_help="Make or update the spectrogram images of a corpus.")
@click.argument("corpus")
@click.option(
    "-o",
    "--output",
    "table",
    metavar="DIR",
    required=True,
    help="Folder or URL of the images and their index.",
)
@click.option(
    "--style",
    metavar="librosa|tutorial",
    default="librosa",
    help="Values of the other options: a mel spectrogram in dB (default), or the specgram of the"
    " tutorial: first 5 s, NFFT 2048, overlap 128, inferno.",
)
@click.option("--width", metavar="PIXELS", type=int, help="Width of an image (default 256).")
@click.option(
    "--height", metavar="PIXELS", type=int, help="Height of an image (default 128; tutorial 256)."
)
@click.option(
    "--colormap",
    metavar="NAME",
    help="Colour map of matplotlib, such as viridis or gray (default magma; tutorial inferno).",
)
@click.option("--scale", metavar="mel|linear", help="Scale of the frequencies (default mel).")
@click.option(
    "--top-db",
    metavar="DB|auto",
    type=_NumberOr("auto"),
    help="Range of the colours below the largest level (default 80), or down to the smallest"
    " level (tutorial).",
)
@click.option(
    "--duration",
    metavar="SECONDS|all",
    type=_NumberOr("all"),
    help="Draw only the first seconds of a file (default all; tutorial 5).",
)
@click.option(
    "--segment", metavar="SECONDS", type=float, help="Make an image of each segment of a file."
)
@click.option(
    "--last",
    metavar="pad|drop|keep",
    help="Pad a shorter last segment with silence (default), leave it out, or draw it as wide as"
    " the others.",
)
@click.option("--sr", metavar="HZ", type=int, help="Rate to resample to (default 22050).")
@click.option("--n-fft", metavar="N", type=int, help="Samples in a frame (default 2048).")
@click.option(
    "--hop-length", metavar="N", type=int, help="Samples from frame to frame (default 512)."
)
@click.option("--n-mels", metavar="N", type=int, help="Number of mel bands (default 128).")
@corpus_options
@cluster_options
@update_options
@watch_options
@common_options
def spectrograms(
    corpus: str,
    table: str,
    style: str,
    width: int | None,
    height: int | None,
    colormap: str | None,
    scale: str | None,
    top_db: float | str | None,
    duration: float | str | None,
    segment: float | None,
    last: str | None,
    sr: int | None,
    n_fft: int | None,
    hop_length: int | None,
    n_mels: int | None,
    dry_run: bool,
    quiet: bool,
    as_json: bool,
    debug: bool,
    **options: Any,
) -> int:
    """Draw the spectrogram of each audio file of CORPUS as a PNG file in the folder DIR.

    CORPUS is a folder, s3://bucket/prefix or another fsspec URL, a glob in quotes, or a list
    of files (text, CSV, TSV or Parquet). Images are DIR/images/LABEL/FILE.png. DIR/index is a
    Parquet table with a row for each, DIR/errors has the files without. Run the same command
    again to update the images: only new and changed files are read.
    """
    settings, _ = settings_of(None, options)
    with hooks_of(settings, table, dry_run=dry_run) as hook:
        with contextlib.ExitStack() as stack:
            progress = stack.enter_context(progress_of(settings, quiet=quiet, as_json=as_json))
            observer = broadcast(progress, hook)
            if not dry_run:
                stack.enter_context(forkserver.ahead_of(settings, table))
            from jobs.execution.opening import executor_opener
            from jobs.images.request import image_request
            from jobs.images.style import image_style
            from jobs.run import plan_job, run_job

            made = image_style(
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
            )
            request = image_request(corpus, table, made, settings)
            opener = executor_opener(settings, debug=debug)
            report = plan_job(request, observer) if dry_run else run_job(request, opener, observer)
        print_report(report, table, dry_run=dry_run, quiet=quiet, as_json=as_json)
    return report.exit_code
