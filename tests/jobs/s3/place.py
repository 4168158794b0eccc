"""A bucket with a corpus and its table, and the same in a folder."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from jobs.request import RunRequest
from tests.conftest import S3
from tests.support import driver
from tests.support.tables import assert_same_table, read_table

FIRST = {
    "rock/a.wav": "play a",
    "rock/b c=%#.wav": "play b",
    "rock/turns good.wav": "bad once",
    "pop/d+'ü\".mp3": "play d",
    "pop/e.wav": "play e",
    "01/f.wav": "play f",
    "01/turns bad.wav": "play g",
    "01/moves.wav": "play h",
    "01/goes.wav": "play i",
    "01/notes.txt": "not audio",
    "top.wav": "play j",
}
NEXT = {
    "rock/a.wav": "play another a",
    "rock/turns good.wav": "play it now",
    "01/turns bad.wav": "bad now",
    "pop/moves.wav": "play h",
    "new/k.wav": "play k",
}
GONE = ["01/moves.wav", "01/goes.wav"]
N_FILES = len(FIRST) - 1
N_FILES_NEXT = N_FILES + 2 - 2


def storage_options(s3: S3) -> list[str]:
    """Return the setting `storage_options` for an endpoint."""
    return [
        f"key={s3.key}",
        f"secret={s3.secret}",
        f"endpoint_url={s3.endpoint}",
        "client_kwargs.region_name=us-east-1",
    ]


def options_of(s3: S3) -> list[str]:
    """Return the command's options for an endpoint."""
    return [text for option in storage_options(s3) for text in ("--storage-option", option)]


class Place:
    """A bucket with a corpus, and the same corpus in a folder."""

    def __init__(self, s3: S3, folder: Path) -> None:
        self.s3, self.folder, self.bucket = s3, folder, s3.bucket()
        self._client = s3.client

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            self.put(f"corpus/{name}", text.encode())
            path = self.folder / "corpus" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def delete(self, names: list[str]) -> None:
        for name in names:
            self._client.delete_object(Bucket=self.bucket, Key=f"corpus/{name}")
            (self.folder / "corpus" / name).unlink()

    def change(self) -> None:
        self.write(NEXT)
        self.delete(GONE)

    def put(self, key: str, data: bytes) -> str:
        answer = self._client.put_object(Bucket=self.bucket, Key=key, Body=data)
        return answer["ETag"].strip('"')

    def get(self, key: str) -> bytes:
        return self._client.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def objects(self, prefix: str) -> dict[str, str]:
        """Return the ETags of all objects below a prefix."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=f"{prefix}/"
        )
        return {o["Key"]: o["ETag"] for page in pages for o in page.get("Contents", ())}

    def parts(self, table: str = "table") -> dict[str, str]:
        return self.objects(f"{table}/features") | self.objects(f"{table}/errors")

    def contents(self, prefix: str) -> dict[str, bytes]:
        return {key: self.get(key) for key in self.objects(prefix)}

    def clear(self, prefix: str) -> None:
        for key in self.objects(prefix):
            self._client.delete_object(Bucket=self.bucket, Key=key)

    def request(self, table: str = "table", *, s3: S3 | None = None, **settings: Any) -> RunRequest:
        settings.setdefault("labels", "parent")
        settings.setdefault("storage_options", storage_options(s3 or self.s3))
        return driver.request_for(
            f"s3://{self.bucket}/corpus",
            f"s3://{self.bucket}/{table}",
            **{"buckets": 2, "max_deleted": 1.0, "reader_grace_s": 0.0} | settings,
        )

    def local_request(self, **settings: Any) -> RunRequest:
        settings.setdefault("labels", "parent")
        return driver.request_for(
            self.folder / "corpus",
            self.folder / "table",
            **{"buckets": 2, "max_deleted": 1.0, "reader_grace_s": 0.0} | settings,
        )

    def downloaded(self, table: str = "table") -> Path:
        folder = self.folder / "downloaded" / f"{table} {time.monotonic_ns()}"
        for key in self.parts(table):
            path = folder / key.removeprefix(f"{table}/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.get(key))
        return folder

    def assert_same_as_local(self, *, parts: bool = True) -> None:
        """Fail unless the bucket's table is the folder's, but for the files' versions.

        Without `parts` it may have emptied parts that the folder's has not.
        """
        mine, local = self.downloaded(), self.folder / "table"
        if parts:
            assert _parts(mine) == _parts(local)
        for found, wanted in zip(read_table(mine), read_table(local), strict=True):
            pd.testing.assert_frame_equal(
                found.drop(columns="source_version"), wanted.drop(columns="source_version")
            )

    def assert_same_as(self, other: str, table: str = "table") -> None:
        """Fail unless two of the bucket's tables are the same."""
        assert_same_table(self.downloaded(table), self.downloaded(other))

    def assert_tidy(self, table: str = "table") -> None:
        left = [key for key in self.objects(f"{table}/_job") if "/staged/" in key]
        left += [key for key in self.objects(f"{table}/_job") if "/probe-" in key or "/tmp/" in key]
        assert left == []


def _parts(table: Path) -> list[str]:
    return sorted(str(path.relative_to(table)) for path in table.rglob("part-*"))


@dataclass
class Prepared:
    """A table, the corpus that changed since, and what is to come of it."""

    place: Place
    before: dict[str, bytes]
    undisturbed: Path

    def reset(self) -> None:
        self.place.clear("table")
        for key, data in self.before.items():
            self.place.put(key, data)

    def check(self) -> None:
        """Fail unless the table is as an undisturbed run leaves it."""
        assert_same_table(self.place.downloaded(), self.undisturbed)
