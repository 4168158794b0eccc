"""The command that draws one file: plot."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from jobs.cli.group import cli
from jobs.cli.options import common_options, storage_option
from jobs.cli.output import print_lines
from jobs.errors import JobError, UsageError, with_remedy
from jobs.settings import Settings, did_you_mean

_EXAMPLES = """\b
Examples:
  featurelib plot song.mp3 --output song.png
  featurelib plot song.mp3 --kind mel --output mel.svg
  featurelib plot song.mp3 --kind stft --kind chroma --offset 60 --duration 30 --output part.pdf
  featurelib plot song.mp3 --sr native --colormap viridis --dpi 200 --output song.png --force

\b
Exit codes: 0 drawn; 1 the file cannot be read or decoded; 2 wrong request.
"""


@cli.command(short_help="Draw one file: waveform, spectrograms, tempo and more.", epilog=_EXAMPLES)
@click.argument("file")
@click.option(
    "-o", "--output", metavar="PICTURE", required=True, help="Picture: FILE.png, .svg or .pdf."
)
@click.option(
    "--kind",
    "kinds",
    metavar="NAME",
    multiple=True,
    help="What to draw, see above; repeatable (default: all, on one page).",
)
@click.option("--offset", type=float, default=0.0, metavar="SECONDS", help="Skip the beginning.")
@click.option("--duration", type=float, metavar="SECONDS", help="Draw only so much (default: all).")
@click.option(
    "--sr", default="22050", metavar="HZ|native", help="Resample to this rate (default 22050)."
)
@click.option(
    "--colormap",
    default="magma",
    metavar="NAME",
    help="Colours of spectrograms, a colour map of matplotlib (default magma).",
)
@click.option(
    "--width", type=float, metavar="INCHES", help="Width (default 10, or 15 for two columns)."
)
@click.option("--dpi", type=float, default=100.0, metavar="N", help="Dots per inch (default 100).")
@click.option("--force", is_flag=True, help="Replace the picture if it exists.")
@storage_option
@common_options
def plot(
    file: str,
    output: str,
    kinds: tuple[str, ...],
    offset: float,
    duration: float | None,
    sr: str,
    colormap: str,
    width: float | None,
    dpi: float,
    force: bool,
    storage_options: tuple[str, ...],
    as_json: bool,
    debug: bool,
) -> int:
    """Draw one FILE (a path or URL) as a picture: PNG, SVG or PDF, by the name of --output.

    Without --kind, one page shows all kinds: waveform, power_spectrum, stft, mel, cqt, chroma,
    harmonic, percussive, mfcc, onset_strength (with the tempo), spectral_shape (centroid, roll-off,
    bandwidths), zero_crossing_rate, zero_crossings (of the loudest 20 ms).

    The values are those that featurelib extracts. Long files are reduced to a few thousand columns
    while they are read; the picture says so.
    """
    import featurelib
    from featurelib.extras import needing
    from jobs.execution.native import captured_output
    from jobs.export.target import AGAIN, check_name, new_file
    from jobs.storage.urls import redacted

    check_name(output, example="picture.png")
    picture_format = _format_of(output)
    if os.path.isdir(file):
        raise UsageError(f"{file} is a folder: give one of its files")
    rate = _rate_of(sr)
    with needing("plot"):
        import matplotlib.font_manager  # says now, not as if a decoder did, what it has to say
    matplotlib.rcdefaults()  # pictures are the same whatever the user's matplotlibrc
    settings, shown = Settings(storage_options=storage_options), redacted(file)
    # The output is checked before a long file is read, and written when all is drawn.
    with new_file(output, settings.options_for("table"), force=force) as target:
        try:
            with (
                captured_output() as drain,
                _fetched(file, settings.options_for("corpus")) as source,
            ):
                figure = featurelib.plot.page(
                    source,
                    title=_title(file),
                    kinds=kinds,
                    sr=rate,
                    offset=offset,
                    duration=duration,
                    colormap=colormap,
                    width=width,
                    dpi=dpi,
                )
                warnings = drain()
        except featurelib.ParameterError as error:
            raise UsageError(str(error)) from error
        except OSError as error:
            said = with_remedy(error, AGAIN)
            raise JobError(f"cannot draw {shown}: {said}") from error
        except featurelib.AudioError as error:
            raise JobError(f"no picture of {shown}: {error.kind}, {error}") from error
        featurelib.plot.save(figure, target, picture_format)
    if as_json:
        drawn = list(dict.fromkeys(kinds or featurelib.plot.KINDS))
        told = {"file": shown, "output": redacted(output), "kinds": drawn}
        click.echo(json.dumps(told, indent=1))
    else:
        print_lines([f"{redacted(output)}: picture of {shlex.quote(shown)}"])
    if warnings:
        print_lines([f"the decoder says: {warnings}"], err=True)
    return 0


@contextmanager
def _fetched(file: str, options: dict[str, Any]) -> Iterator[str | bytes]:
    """Yield a file as featurelib reads it: what a URL names is fetched, as that of a corpus is."""
    from jobs.storage.opening import open_store
    from jobs.storage.urls import is_chained, is_url, split_name, stored_name

    if not is_url(file) or is_chained(file):  # the first of a chain is within another file
        yield file
        return
    folder, name = split_name(file)
    fetched = open_store(folder, options).fetch(stored_name(file, name))
    try:
        yield fetched.source
    finally:
        fetched.close()


def _title(file: str) -> str | None:
    """Return the name that a URL ends in, without a query, which may hold a signature."""
    from jobs.storage.urls import is_url, protocol_of, split_name

    if not is_url(file):
        return None
    name = split_name(file)[1]
    return name.partition("?")[0] if protocol_of(file) in ("http", "https") else name


def _format_of(output: str) -> str:
    import featurelib

    extension = os.path.splitext(output)[1].removeprefix(".").lower()
    formats = featurelib.plot.FORMATS
    if extension not in formats:
        hint = did_you_mean(extension, formats) if extension else ""
        raise UsageError(f"{output} is no name of a picture: end it with .png, .svg or .pdf{hint}")
    return extension


def _rate_of(text: str) -> int | None:
    if text == "native":
        return None
    if not text.isascii() or not text.isdigit():
        raise UsageError(f"--sr {text}: give a whole number of Hz, or native")
    return int(text)
