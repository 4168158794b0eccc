"""The commands about specs: presets, families, describe, show."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import textwrap
from typing import Any

import click

from jobs.cli.group import cli
from jobs.cli.options import common_options, options_of, settings_of, spec_of, storage_option
from jobs.cli.output import print_csv, print_lines, print_rows
from jobs.errors import JobError, UsageError


@cli.command(short_help="List the presets.")
@common_options
def presets(as_json: bool, debug: bool) -> int:
    """List the presets: named specs, whose values never change."""
    import featurelib

    specs = [(name, featurelib.get_spec(name)) for name in featurelib.PRESETS]
    if as_json:
        click.echo(json.dumps({name: spec.to_dict() for name, spec in specs}, indent=1))
    else:
        print_rows([_preset_cells(name, spec) for name, spec in specs])
        click.echo("What is in one: featurelib describe NAME")
    return 0


def _preset_cells(name: str, spec: Any) -> list[str]:
    import featurelib

    n_columns = sum(len(entry.column_names()) for entry in spec.features)
    rate = "each file's rate" if spec.sr == "native" else f"{spec.sr} Hz"
    return [
        name,
        f"{n_columns} column{'s' * (n_columns > 1)}",
        rate,
        featurelib.preset_description(name),
    ]


@cli.command(short_help="List the feature families and their parameters.")
@click.option("--markdown", is_flag=True, help="Print a Markdown table.")
@common_options
def families(markdown: bool, as_json: bool, debug: bool) -> int:
    """List the feature families, parameters and statistics that a spec can use."""
    import featurelib

    described = featurelib.describe_families()
    if as_json:
        values = {"families": described, "statistics": featurelib.STATISTICS}
        click.echo(json.dumps(values, indent=1))
    elif markdown:
        print_lines(_markdown(described))
    else:
        shared = _shared(described)
        for family in described:
            unit = f" [{family['unit']}]" if family["unit"] != "1" else ""
            print_lines([f"{family['family']}{unit}  {family['definition']}"])
            print_rows([_parameter_cells(parameter) for parameter in _own(family, shared)])
        print_lines(["", "Parameters of all that reads frames or spectra:"])
        print_rows([_parameter_cells(parameter) for parameter in shared.values()])
        print_lines(["", "Statistics:"])
        print_rows([["    " + name, text] for name, text in featurelib.STATISTICS.items()])
        print_lines(["    q and a percentage: that quantile, such as q25, or q2_5 for 2.5 %"])
    return 0


def _shared(described: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the shared parameters by name, with their usual defaults."""
    usual: dict[str, dict[str, Any]] = {}
    for name in {p["name"]: None for f in described for p in f["parameters"] if p["is_shared"]}:
        ways = [p for f in described for p in f["parameters"] if p["name"] == name]
        defaults = [p["default"] for p in ways]
        usual[name] = max(ways, key=lambda p: defaults.count(p["default"]))
    return usual


def _own(family: dict[str, Any], shared: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the parameters of a family that are not shared, or have another default there."""
    return [
        p
        for p in family["parameters"]
        if p["name"] not in shared or p["default"] != shared[p["name"]]["default"]
    ]


def _parameter_cells(parameter: dict[str, Any]) -> list[str]:
    default = "" if parameter["default"] is None else json.dumps(parameter["default"])
    return ["    " + parameter["name"], default, parameter["bounds"], parameter["definition"]]


def _markdown(described: list[dict[str, Any]]) -> list[str]:
    shared = _shared(described)
    lines = ["| family | what it is | parameters |", "|---|---|---|"]
    for family in described:
        parameters = ", ".join(
            f"`{p['name']}`" + ("" if p["default"] is None else f" {p['default']}")
            for p in _own(family, shared)
        )
        lines.append(f"| `{family['family']}` | {family['definition']} | {parameters} |")
    return lines


@cli.command(short_help="Describe the columns of a preset, a settings file or a table.")
@click.argument("spec", metavar="PRESET|FILE.toml|TABLE")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@storage_option
@common_options
def describe(
    spec: str, as_csv: bool, storage_options: tuple[str, ...], as_json: bool, debug: bool
) -> int:
    """Show name, type, unit, definition and librosa counterpart of every column of a spec.

    The spec is a PRESET, or it is taken from a settings file FILE.toml or from a TABLE. A table
    has recorded the descriptions of its columns, so no code of its features is run.
    """
    from jobs.cli.describing import described

    columns, lines = described(spec, options_of(storage_options))
    if as_json:
        click.echo(json.dumps(columns, indent=1))
    elif as_csv:
        print_csv(list(columns[0]), columns)
    else:
        for column in columns:
            _print_description(column)
        print_lines(lines)
    return 0


def _print_description(column: dict[str, str]) -> None:
    width = min(100, shutil.get_terminal_size().columns)
    unit = f" [{column['unit']}]" if column["unit"] not in ("", "1") else ""
    click.echo(f"{column['name']}  {column['type']}{unit}")
    texts = [column["definition"]]
    if column["librosa"] != "none":
        texts.append(f"librosa: {column['librosa']}")
    for text in texts:
        lines = textwrap.wrap(
            text,
            width,
            initial_indent="    ",
            subsequent_indent="    ",
            break_on_hyphens=False,  # DCT-II stays whole
        )
        click.echo("\n".join(lines))


@cli.command(short_help="Extract one file and show its row.")
@click.argument("file")
@click.option("--preset", metavar="NAME", help="Features to extract (default genre-v1).")
@click.option("--config", metavar="FILE.toml", help="File with a spec [spec].")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@common_options
def show(
    file: str, preset: str | None, config: str | None, as_csv: bool, as_json: bool, debug: bool
) -> int:
    """Extract one FILE (a path or URL) and show its row.

    If the spec gives several rows (segments, channels), only the first is shown. Only the
    shape of a series is shown. --csv and --json print everything.
    """
    import featurelib
    from jobs.execution.native import captured_output

    if os.path.isdir(file):
        raise UsageError(
            f"{file} is a folder: give one of its files, or say featurelib extract"
            f" {shlex.quote(file)} --output TABLE"
        )
    _, spec_values = settings_of(config, {})
    spec = spec_of(preset, spec_values, config)
    try:
        with captured_output() as drain:
            frame = featurelib.extract(file, spec)
            warnings = drain()
    except OSError as error:
        raise JobError(f"cannot read {file}: {error.strerror or error}") from error
    except featurelib.AudioError as error:
        raise JobError(f"no features of {file}: {error.kind}, {error}") from error
    if as_csv:
        click.echo(frame.map(_plain_series).to_csv(index=False), nl=False)
    elif as_json:
        click.echo(frame.to_json(orient="records", indent=1, double_precision=15))
    else:
        print_rows([[name, _value_text(value)] for name, value in frame.iloc[0].items()])
        if len(frame) > 1:
            print_lines([f"first of {len(frame)} rows; --csv or --json prints all"], err=True)
        if warnings:
            print_lines([f"the decoder says: {warnings}"], err=True)
    return 0


def _plain_series(value: Any) -> Any:
    """Return a series as JSON text, because pandas would abbreviate it."""
    import numpy as np

    return value if np.ndim(value) == 0 else json.dumps(np.stack(value).tolist())


def _value_text(value: Any) -> str:
    import numpy as np

    if np.ndim(value) > 0:
        return f"series of shape {np.stack(value).shape}; --csv or --json prints it"
    # pandas stores null as NaN in a column of numbers
    return "null" if value is None or value != value else str(value)
