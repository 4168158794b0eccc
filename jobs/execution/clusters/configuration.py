"""The Dask configuration of all clusters, from the file that deploy/ has too."""

from __future__ import annotations

import contextlib
from importlib.resources import files
from typing import Any

import dask
import yaml

#: The contents of dask.yaml.
CONFIG: dict[str, Any] = yaml.safe_load(files(__package__).joinpath("dask.yaml").read_bytes())


def configured() -> contextlib.AbstractContextManager[Any]:
    """Context manager in which Dask has the configuration of dask.yaml above the user's own."""
    return dask.config.set(
        {key: dask.config.merge(dask.config.get(key, {}), CONFIG[key]) for key in CONFIG}
    )
