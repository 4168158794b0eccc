"""Turn a corpus into a table: planning, storage, cluster and command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobs.api import extract_corpus
    from jobs.diagnostics.report import RunReport
    from jobs.errors import JobError

__all__ = ["JobError", "RunReport", "extract_corpus"]


def __getattr__(name: str) -> Any:
    import importlib

    homes = {
        "extract_corpus": "jobs.api",
        "JobError": "jobs.errors",
        "RunReport": "jobs.diagnostics.report",
    }
    if name not in homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(homes[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
