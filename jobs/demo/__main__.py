"""``make demo``: from a small synthesized corpus to tables, a classifier's score and a report.

Every command is printed before it is run, so that users see what to type.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from jobs.demo.synthesize import GENRES, synthesize_corpus

#: The file of which a picture is made, and what the picture shows. The README has this picture.
PICTURED = "folk/folk.00000.wav"
KINDS = ("waveform", "mel", "onset_strength", "chroma")

SNIPPET = """\
import pandas as pd

table = pd.read_parquet({features!r})
print(len(table), "rows,", table.shape[1], "columns")
columns = ["duration_s", "rms_mean", "spectral_centroid_mean", "mfcc_01_mean"]
print(table.groupby("label")[columns].mean().round(3))
"""

GTZAN_SNIPPET = """\
import pandas as pd

table = pd.read_csv({csv!r})
print(len(table), "rows,", table.shape[1], "columns, as in the published GTZAN table")
columns = ["filename", "length", "chroma_stft_mean", "harmony_var", "tempo", "label"]
print(table[columns].head().to_string(index=False))
"""


@click.command()
@click.argument("folder", default="demo", type=click.Path(file_okay=False, path_type=Path))
@click.option("--files", default=60, type=click.IntRange(min=15), help="Number of audio files.")
@click.option("--seed", default=0, help="Seed of the music.", show_default=True)
def main(folder: Path, files: int, seed: int) -> None:
    """Make FOLDER/corpus, and from it a picture, two tables, a classifier and a report.

    An existing corpus is kept, so the second run shows an update.
    """
    corpus, table = folder / "corpus", folder / "table"
    if corpus.exists():
        click.echo(f"{corpus} is here already, and kept. Remove {folder} for a fresh start.")
    else:
        make_corpus(corpus, files, seed)
        click.echo(f"{corpus}: {files} files of {len(GENRES)} genres; three of the files are odd.")

    picture = folder / "folk.png"
    kinds = [word for kind in KINDS for word in ("--kind", kind)]
    plot = ("featurelib", "plot", str(corpus / PICTURED), *kinds, "--width", "12", "--dpi", "80")
    run(*plot, "--output", str(picture), "--force")

    run("featurelib", "extract", str(corpus), "--output", str(table), "--labels", "parent")

    run_python(SNIPPET.format(features=str(table / "features")))
    run("featurelib", "errors", str(table))

    gtzan, csv = folder / "gtzan", folder / "features_30_sec.csv"
    extract = ("featurelib", "extract", str(corpus), "--output", str(gtzan))
    run(*extract, "--preset", "gtzan-v1", "--labels", "parent")
    run("featurelib", "export", str(gtzan), "--as", "gtzan", "--output", str(csv), "--force")
    run_python(GTZAN_SNIPPET.format(csv=str(csv)))

    model, page = folder / "genres.model", folder / "report.html"
    run("featurelib", "report", str(table), "--output", str(page), "--force")
    run("featurelib", "train", str(table), "--output", str(model), "--force")

    click.echo(f"\nThe table is in {table.resolve()}: features/ is plain Parquet.")
    click.echo(f"The columns of the published GTZAN table are in {csv.resolve()}.")
    click.echo(f"Look at {picture.resolve()}, and open {page.resolve()} in a browser.")
    click.echo("For music of your own, in one folder a genre:\n")
    bin_folder = Path(sys.executable).parent
    if str(bin_folder) not in os.environ.get("PATH", "").split(os.pathsep):
        activate = os.path.relpath(bin_folder / "activate")
        click.secho(f"    . {shlex.quote(activate)}", bold=True)
    click.secho("    featurelib extract MUSIC --output TABLE --labels parent", bold=True)


def make_corpus(corpus: Path, n_files: int, seed: int) -> None:
    """Make the corpus in a temporary folder and move it, so that it is never incomplete."""
    corpus.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=corpus.parent, prefix=".corpus-") as scratch:
        synthesize_corpus(Path(scratch) / "corpus", n_files=n_files, seed=seed)
        (Path(scratch) / "corpus").rename(corpus)


def run(*command: str) -> None:
    """Print a command and run it; end the demo if its exit code is not 0."""
    click.secho(f"\n$ {shlex.join(command)}", bold=True)
    # the program next to this Python, which may not be on the PATH
    program = shutil.which(command[0], path=str(Path(sys.executable).parent))
    with subprocess.Popen([program or command[0], *command[1:]]) as process:
        try:
            process.wait()
        except KeyboardInterrupt:  # the command got Ctrl-C too: wait for its end
            process.wait()
    check(process.returncode)


def run_python(code: str) -> None:
    """Print Python code and run it; end the demo if it fails."""
    click.secho("\n$ python", bold=True)
    for line in code.splitlines():
        click.secho(f">>> {line}".rstrip(), bold=True)
    check(subprocess.run([sys.executable, "-c", code], check=False).returncode)


def check(code: int) -> None:
    """End the demo if a step failed."""
    if code:
        sys.exit(code if code > 0 else 128 - code)


if __name__ == "__main__":
    main()
