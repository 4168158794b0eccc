"""Commands, run as the documents have them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.docs.markdown import TOP


def _one_core() -> None:
    """Keep this process, and those that it starts, to one core: a run starts a worker a core."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[os.getpid() % len(cores)]})


def shell(text: str, folder: Path, **environment: str) -> str:
    """Run commands as one would type them, and return what they print.

    Parameters
    ----------
    text : str
        The commands, for bash.
    folder : Path
        Where they run.
    **environment
        Further variables; ``PYTHONPATH`` is this repository unless it is given.

    Raises
    ------
    AssertionError
        If one fails.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-e", "-c", text],
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(TOP), **environment},
        capture_output=True,
        text=True,
        preexec_fn=_one_core,
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
    return done.stdout
