"""Small corpora, and what is in a folder of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from jobs.diagnostics.run_report import RunReport
from jobs.images.request import image_request
from jobs.images.style import image_style
from jobs.request import RunRequest
from jobs.run import run_job
from jobs.settings import Settings, with_values
from tests.support import light
from tests.support.audio_files import write_tone

#: Small images are quick to write.
SIZE = {"width": 16, "height": 8}


def request(
    corpus: Path | str, table: Path | str, *, style: dict[str, Any] | None = None, **values: Any
) -> RunRequest:
    """Return the request of a run; `values` are settings."""
    settings = with_values(Settings(reader_grace_s=0.0), values, "test")
    return image_request(str(corpus), str(table), image_style(**SIZE | (style or {})), settings)


def run(corpus: Path | str, table: Path | str, **values: Any) -> RunReport:
    """Make images in this process."""
    return run_job(request(corpus, table, **values), light.inline)


def write_tones(corpus: Path, *names: str, seconds: float = 0.2) -> Path:
    """Write tones of frequencies that the names decide."""
    for name in names:
        write_tone(corpus / name, 200.0 + sum(name.encode()) % 97 * 30, seconds=seconds)
    return corpus


def images(table: Path) -> dict[str, bytes]:
    """Return the contents of each image by its name below ``images/``."""
    folder = table / "images"
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def index(table: Path) -> pd.DataFrame:
    """Return the rows of the images, by path and segment."""
    rows = pd.read_parquet(table / "index")
    return rows.sort_values(["path", "segment"], ignore_index=True)


def assert_consistent(table: Path, size: tuple[int, int] = (16, 8)) -> None:
    """Fail unless each row has one whole image and each image a row."""
    rows = index(table)
    assert not rows["image"].duplicated().any()
    assert not rows[["path", "segment"]].duplicated().any()
    found = {f"images/{name}": len(data) for name, data in images(table).items()}
    assert found == dict(zip(rows["image"], rows["image_bytes"], strict=True))
    for name in found:
        with Image.open(table / name) as image:
            image.load()
            assert image.size == size
    leftovers = [*(table / "_job" / "tmp").glob("*"), *(table / "_job" / "runs").glob("*/staged/*")]
    assert leftovers == []
