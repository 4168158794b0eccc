"""The command that compiles kernels ahead: compile."""

from __future__ import annotations

import json
import time

import click

from jobs.cli.group import cli
from jobs.cli.options import common_options, settings_of, spec_of
from jobs.cli.output import print_lines
from jobs.diagnostics.progress import progress_for_terminal


@cli.command("compile", short_help="Compile the kernels ahead, once on each machine.")
@click.option("--preset", metavar="NAME", help="Features to compile for (default: all presets).")
@click.option("--config", metavar="FILE.toml", help="File with a spec [spec].")
@click.option("-q", "--quiet", is_flag=True, help="Print only errors.")
@common_options
def compile_kernels(
    preset: str | None, config: str | None, quiet: bool, as_json: bool, debug: bool
) -> int:
    """Compile the kernels that the presets need, so that the first run need not.

    Kernels are compiled once on each machine and kept on disk, so a second call does nothing.
    They are compiled for the processor of this machine: a container image that runs on other
    processors compiles again there.
    """
    import featurelib
    from featurelib import kernels
    from jobs.diagnostics.events import Compiling

    started = time.monotonic()
    if preset is None and config is None:
        specs = [featurelib.get_spec(name) for name in featurelib.PRESETS]
    else:
        specs = [spec_of(preset, settings_of(config, {})[1], config)]
    n_compiled = 0
    with progress_for_terminal(quiet=quiet or as_json) as shown:
        for spec in specs:
            last = Compiling(0, 0)

            def on_compile(n_done: int, n_kernels: int) -> None:
                nonlocal last
                last = Compiling(n_done, n_kernels)
                shown(last)

            featurelib.warm_up(spec, on_compile=on_compile)
            n_compiled += last.n_done
    name = kernels.NAME
    if as_json:
        click.echo(json.dumps({"kernels": name, "compiled": n_compiled}))
    elif not quiet:
        seconds = time.monotonic() - started
        done = f"{n_compiled} compiled in {seconds:.0f} s" if n_compiled else "all on disk already"
        print_lines([f"Kernels: {done if name == 'compiled' else 'NumPy, which needs none'}"])
    return 0
