"""What the tests of a table share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jobs.storage.opening import open_store
from jobs.storage.s3 import S3Store
from tests.conftest import S3


@pytest.fixture
def open_table(s3: S3) -> Callable[[], S3Store]:
    """Give a function that opens the same table again, as another driver does."""
    bucket = s3.bucket()

    def open_() -> S3Store:
        store = open_store(f"s3://{bucket}/t", s3.storage_options)
        assert isinstance(store, S3Store)
        return store

    return open_
