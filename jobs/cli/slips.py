"""Hints for slips that new users make on the command line."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from typing import NoReturn

import click

_WORKERS = "the number of worker processes is --workers N"
_AGAIN = "to extract every file again, say --recompute"
_GOES_ON = "leave it out: the same command goes on where the last run stopped"
_SPEC = "it belongs to the spec: set it below [spec] in a file, and give --config FILE.toml"
_PARQUET = (
    "the table is a folder of Parquet files; featurelib export TABLE --output FILE.csv makes one"
    " file of it"
)

_OF_EXTRACT = (_SPEC, _PARQUET)

#: What to say instead of an option that there is not.
_OPTIONS = {
    **dict.fromkeys(("-j", "-w", "--jobs", "--n-jobs", "--n_jobs", "--num-workers"), _WORKERS),
    **dict.fromkeys(("--cores", "--cpus", "--processes", "--threads"), _WORKERS),
    **dict.fromkeys(("-f", "--force", "--overwrite"), _AGAIN),
    **dict.fromkeys(("--resume", "--continue", "--update", "--incremental"), _GOES_ON),
    **dict.fromkeys(("-v", "--verbose"), "tracebacks and Dask's log are shown by --debug"),
    **dict.fromkeys(("-r", "-R", "--recursive"), "leave it out: folders are read with all below"),
    **dict.fromkeys(("-l", "--label"), "labels are given by --labels parent, or --labels FILE"),
    **dict.fromkeys(("-c", "--spec"), "a spec and options are read from --config FILE.toml"),
    **dict.fromkeys(("-n",), "a plan is printed by --dry-run; fewer files are taken by --limit N"),
    **dict.fromkeys(("--csv", "--format", "--parquet"), _PARQUET),
    **dict.fromkeys(("--sr", "--sample-rate", "--duration", "--offset", "--mono"), _SPEC),
    **dict.fromkeys(("--n-fft", "--n_fft", "--hop-length", "--hop_length"), _SPEC),
    **dict.fromkeys(("--n-mfcc", "--n_mfcc", "--features", "--level", "--channels"), _SPEC),
    "-V": "the version is printed by --version",
}

_COMMANDS = {
    "help": "say featurelib --help, or featurelib COMMAND --help",
    "version": "say featurelib --version",
    "run": "say featurelib extract CORPUS --output TABLE",
    "list": "say featurelib status TABLE, or featurelib errors TABLE",
}


class Command(click.Command):
    """A command that has hints for arguments that it does not take."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not set(args) & set(ctx.help_option_names):
            given, rest, _ = self.make_parser(ctx).parse_args(list(args))
            if rest:
                _refuse_arguments(ctx, given, rest)
        return super().parse_args(ctx, args)


def hint_for_option(option: str, command: str | None) -> str:
    """Return what to say instead of an option that there is not; empty if that is not known."""
    hint = _OPTIONS.get(option, "")
    return "" if hint in _OF_EXTRACT and command == "spectrograms" else hint


def hint_for_command(name: str) -> str:
    """Return what to say instead of a command that there is not; empty if that is not known."""
    if name in _COMMANDS:
        return _COMMANDS[name]
    if "/" in name or os.path.exists(name):
        return f"to extract features, say featurelib extract {shlex.quote(name)} --output TABLE"
    return ""


def _refuse_arguments(
    ctx: click.Context, given: dict[str, object], rest: Sequence[str]
) -> NoReturn:
    """Refuse arguments for which the command has no place."""
    arguments = "argument" if len(rest) == 1 else "arguments"
    shown = " ".join(rest[:3]) + (" …" if len(rest) > 3 else "")
    text = f"got unexpected extra {arguments} ({shown})"
    if hint := _hint_for_arguments(ctx.info_name or "", given, rest):
        text += f": {hint}"
    raise click.UsageError(text, ctx)


def _hint_for_arguments(command: str, given: dict[str, object], rest: Sequence[str]) -> str:
    if command == "show":
        return "it shows one file; for many, say featurelib extract FOLDER --output TABLE"
    if command == "plot":
        return "it draws one file; call it once for each"
    if command not in ("extract", "spectrograms"):
        return ""
    if all(os.path.isdir(name) for name in rest):
        if "table" not in given and len(rest) == 1:
            return _hint_for_output(rest[0])
        return "a table has one corpus: give the folder above, and choose with --include 'FOLDER/*'"
    if any(os.path.exists(name) for name in rest):
        extension = os.path.splitext(rest[0])[1] or ".wav"
        return (
            "the shell has replaced a pattern by the names of files: put the pattern in quotes, or"
            f" give the folder and --include '*{extension}'"
        )
    if "table" not in given and len(rest) == 1:
        return _hint_for_output(rest[0])
    return ""


def _hint_for_output(name: str) -> str:
    return f"the table is given by an option: --output {shlex.quote(name)}"
