"""The runs of a table: their names and their summaries (run.json)."""

from __future__ import annotations

import datetime
import json
import uuid
from collections.abc import Sequence
from typing import Any

from jobs.storage.base import Store
from jobs.table.layout import RUNS


def new_run_id() -> str:
    """Return a new name for a run; names sort by time."""
    now = datetime.datetime.now(datetime.UTC)
    return f"{now:%Y%m%dT%H%M%S}.{now.microsecond // 1000:03d}Z-{uuid.uuid4().hex[:6]}"


def without_secrets(text: str, secrets: Sequence[str]) -> str:
    """Return a text in which ``***`` replaces every secret."""
    for secret in secrets:
        for form in (secret, json.dumps(secret)[1:-1]):
            text = text.replace(form, "***")
    return text


def write_summary(store: Store, run_id: str, secrets: Sequence[str], **values: Any) -> None:
    """Write the run.json of a run."""
    text = json.dumps({"run_id": run_id, **values}, default=str, indent=1)
    store.replace(f"{RUNS}/{run_id}/run.json", without_secrets(text, secrets).encode())


def read_summaries(store: Store) -> list[dict[str, Any]]:
    """Return the run.json of every run, oldest first; skip files that cannot be read."""
    names = []
    try:
        for page in store.scan(RUNS):
            names += [e.name for e in page if e.name.endswith("/run.json")]
    except FileNotFoundError:
        return []
    summaries = []
    for name in sorted(names):
        try:
            summaries.append(json.loads(store.read(name)[0]))
        except (FileNotFoundError, ValueError):
            continue
    return summaries
