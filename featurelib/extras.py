"""Libraries that are installed only by those who use them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from featurelib.errors import MissingExtraError

__all__ = ["EXTRAS", "needing"]

#: Top-level modules that an extra of pyproject.toml brings.
EXTRAS = {
    "plot": ("matplotlib", "PIL"),
    "ml": ("sklearn", "skops", "matplotlib", "PIL"),
    "cluster": ("asyncssh", "bokeh", "cryptography", "dask_jobqueue"),
    "metrics": ("prometheus_client",),
    "report": ("altair", "vl_convert", "jinja2", "sklearn", "skops", "matplotlib", "PIL"),
}


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Import libraries of an extra; a missing one is a `MissingExtraError`.

    Parameters
    ----------
    extra : {"plot", "ml", "report", "cluster", "metrics"}
        Name of the extra in pyproject.toml.

    Raises
    ------
    MissingExtraError
        If a library of the extra is not installed; the message says what to install.

    Examples
    --------
    >>> with needing("plot"):
    ...     import matplotlib
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in EXTRAS[extra]:
            raise
        raise MissingExtraError(
            f"{module} is not installed: pip install 'featurelib[{extra}]'"
        ) from error
