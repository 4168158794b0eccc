"""Options that several commands share, and settings and specs made from options."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import click

from jobs.errors import UsageError
from jobs.settings import Settings, read_config, with_values


def storage_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--storage-option`` to a command."""
    return click.option(
        "--storage-option",
        "storage_options",
        metavar="KEY=VALUE",
        multiple=True,
        help="Option for fsspec, such as endpoint_url=…; repeatable. corpus:KEY=… or"
        " table:KEY=… sets it for one side. AWS environment variables and profiles work too.",
    )(command)


def common_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--json`` and ``--debug`` to a command."""
    command = click.option("--debug", is_flag=True, help="Show tracebacks and Dask's log.")(command)
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def settings_of(config: str | None, options: dict[str, Any]) -> tuple[Settings, dict[str, Any]]:
    """Return the settings of a settings file and the command line, and the file's spec.

    Parameters
    ----------
    config : str, optional
        The settings file.
    options : dict
        Options of the command line, which override the file; None if not given.
    """
    spec_values: dict[str, Any] = {}
    settings = Settings()
    if config is not None:
        if config in _presets():
            raise UsageError(f"{config} is a preset, not a file: say --preset {config}")
        spec_values, run_values = read_config(config)
        settings = with_values(settings, run_values, config)
    given = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in options.items()
        if value is not None and value != ()
    }
    return with_values(settings, given, "command line"), spec_values


def _presets() -> Iterable[str]:
    import featurelib

    return featurelib.PRESETS


def spec_of(preset: str | None, values: dict[str, Any], config: str | None) -> Any:
    """Return the spec of a preset, of a settings file, or the default one."""
    import featurelib

    if preset is not None:
        if preset.endswith(".toml"):
            raise UsageError(f"{preset} is a file, not a preset: say --config {preset}")
        values = {**values, "preset": preset}
    if not values:
        return featurelib.get_spec()
    return featurelib.spec_from_settings(values, os.path.dirname(config or "") or ".")


def options_of(texts: tuple[str, ...]) -> dict[str, Any]:
    """Return the storage options of a table from ``--storage-option`` values."""
    return Settings(storage_options=texts).options_for("table")
