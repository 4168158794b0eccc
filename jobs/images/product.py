"""What a worker makes of each file: images in the table, and a row for each."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import featurelib
from featurelib.extras import needing
from jobs.errors import TableError, with_remedy
from jobs.images.names import image_name
from jobs.images.pixels import levels, png
from jobs.images.style import SERIES, ImageStyle
from jobs.storage.base import Store
from jobs.table.schema import IMAGE, IMAGE_BYTES


@dataclass(frozen=True)
class Images:
    """Images as the product of a run, see `jobs.execution.context.Product`.

    Attributes
    ----------
    style : ImageStyle
        The style of the images.
    by_folder : bool
        Whether labels are the names of folders.
    """

    style: ImageStyle
    by_folder: bool = False

    @property
    def fingerprint(self) -> str:
        """Hash of everything that can change an image."""
        return self.style.fingerprint

    @property
    def columns(self) -> list[dict[str, str]]:
        """Descriptions of the columns of an image's row."""
        return self.style.columns

    def prepare(self, on_compile: Callable[[int, int], None] | None) -> None:
        """Compile kernels and load libraries.

        Raises
        ------
        featurelib.MissingExtraError
            If Pillow is not installed.
        """
        with needing("plot"):
            import PIL.Image
            import PIL.PngImagePlugin  # noqa: F401
        featurelib.warm_up(self.style.features, on_compile=on_compile)

    def rows(self, source: Any, tags: tuple[str, ...]) -> Iterable[featurelib.Rows]:
        """Yield the spectrograms of a file."""
        return _extractor(self.style, tags).file(source)

    def put(
        self, rows: featurelib.Rows, path: str, label: str | None, table: Store
    ) -> featurelib.Rows:
        """Write the images of spectrograms, and return their rows.

        Raises
        ------
        TableError
            If an image cannot be written.
        """
        columns = {name: values for name, values in rows.columns.items() if name != SERIES}
        names, sizes = [], []
        for segment, power in zip(rows.columns["segment"], rows.columns[SERIES], strict=True):
            number = None if self.style.segment is None else int(segment)
            name = image_name(path, label, number, by_folder=self.by_folder)
            data = png(levels(power, self.style.top_db), self.style.palette)
            try:
                table.replace(name, data)
            except OSError as error:
                raise TableError(
                    f"a worker cannot write to {table.url}: {with_remedy(error)}"
                ) from error
            names.append(name)
            sizes.append(len(data))
        columns |= {IMAGE: names, IMAGE_BYTES: sizes}
        return rows._replace(columns=columns, values=None)


@functools.lru_cache(maxsize=2)
def _extractor(style: ImageStyle, tags: tuple[str, ...]) -> featurelib.Extractor:
    return featurelib.Extractor(style.features, raster=style.raster, tags=tags)
