"""The request of a run that makes images."""

from __future__ import annotations

from dataclasses import replace

from jobs.errors import UsageError
from jobs.images.product import Images
from jobs.images.style import ImageStyle
from jobs.request import RunRequest
from jobs.settings import Settings


def image_request(corpus: str, table: str, style: ImageStyle, settings: Settings) -> RunRequest:
    """Return the request of a run that makes the images of a corpus.

    Parameters
    ----------
    corpus, table : str
        Locations of the corpus, and of the folder of the images.
    style : ImageStyle
        The style of the images.
    settings : Settings
        All other options. The rows are not partitioned by label unless they say so.

    Raises
    ------
    UsageError
        If columns of another table are to be copied.
    """
    if settings.reuse is not None:
        raise UsageError("reuse is for tables of features: leave it out")
    if settings.partition_by is None:
        settings = replace(settings, partition_by="none")
    made = Images(style, by_folder=settings.labels == "parent")
    return RunRequest(corpus, table, style.recorded(), settings, product=made)
