"""Options that several commands share, and the settings and specs that they give."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import click

from jobs.settings import Settings, read_config, with_values


def storage_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--storage-option",
        "storage_options",
        metavar="KEY=VALUE",
        multiple=True,
        help="Option for fsspec, such as endpoint_url=…; repeatable. corpus:KEY=… and"
        " table:KEY=… are for one side. AWS settings are found as usual without.",
    )(command)


def common_options(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option("--debug", is_flag=True, help="Show tracebacks and Dask's log.")(command)
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def settings_of(config: str | None, options: dict[str, Any]) -> tuple[Settings, dict[str, Any]]:
    spec_values: dict[str, Any] = {}
    settings = Settings()
    if config is not None:
        spec_values, run_values = read_config(config)
        settings = with_values(settings, run_values, config)
    given = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in options.items()
        if value is not None and value != ()
    }
    return with_values(settings, given, "command line"), spec_values


def spec_of(preset: str | None, values: dict[str, Any], config: str | None) -> Any:
    import featurelib

    if preset is not None:
        values = {**values, "preset": preset}
    if not values:
        return featurelib.get_spec()
    return featurelib.spec_from_settings(values, os.path.dirname(config or "") or ".")


def options_of(texts: tuple[str, ...]) -> dict[str, Any]:
    return Settings(storage_options=texts).options_for("table")
