"""Images in a bucket."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from PIL import Image

from jobs.run import run_job
from tests.conftest import S3
from tests.jobs.images.corpora import request, write_tones
from tests.jobs.s3.place import storage_options
from tests.support import light


def test_images_of_a_bucket_are_in_a_bucket(s3: S3, tmp_path: Path) -> None:
    bucket, client = s3.bucket(), s3.client
    files = write_tones(tmp_path / "music", "rock/a.wav", "rock/b c.wav", "pop/c.wav")

    def put(name: str) -> None:
        client.put_object(Bucket=bucket, Key=f"music/{name}", Body=(files / name).read_bytes())

    def pictures() -> dict[str, Any]:
        found = client.list_objects_v2(Bucket=bucket, Prefix="out/images/").get("Contents", ())
        return {item["Key"].removeprefix("out/images/"): item["ETag"] for item in found}

    for name in ("rock/a.wav", "rock/b c.wav", "pop/c.wav"):
        put(name)
    made = request(
        f"s3://{bucket}/music",
        f"s3://{bucket}/out",
        labels="parent",
        max_deleted=1.0,
        storage_options=storage_options(s3),
    )
    assert run_job(made, light.inline).n_files == 3
    first = pictures()
    assert list(first) == ["pop/c.wav.png", "rock/a.wav.png", "rock/b c.wav.png"]
    body = client.get_object(Bucket=bucket, Key="out/images/rock/b c.wav.png")["Body"].read()
    assert Image.open(io.BytesIO(body)).size == (16, 8)
    assert run_job(made, light.inline).n_read == 0

    client.delete_object(Bucket=bucket, Key="music/pop/c.wav")
    client.delete_object(Bucket=bucket, Key="out/images/rock/a.wav.png")
    assert run_job(made, light.inline).n_read == 1
    assert pictures() == {name: first[name] for name in ("rock/a.wav.png", "rock/b c.wav.png")}
