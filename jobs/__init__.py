"""Turn a corpus into a table: planning, storage, cluster and command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobs.api import (
        export_table,
        extract_corpus,
        make_spectrograms,
        predict,
        repartition_table,
        train_model,
        verify_table,
        write_report,
    )
    from jobs.diagnostics.run_report import RunReport
    from jobs.errors import JobError

__all__ = [
    "JobError",
    "RunReport",
    "export_table",
    "extract_corpus",
    "make_spectrograms",
    "predict",
    "repartition_table",
    "train_model",
    "verify_table",
    "write_report",
]


def __getattr__(name: str) -> Any:
    import importlib

    homes = {
        "export_table": "jobs.api",
        "extract_corpus": "jobs.api",
        "make_spectrograms": "jobs.api",
        "predict": "jobs.api",
        "repartition_table": "jobs.api",
        "train_model": "jobs.api",
        "verify_table": "jobs.api",
        "write_report": "jobs.api",
        "JobError": "jobs.errors",
        "RunReport": "jobs.diagnostics.run_report",
    }
    if name not in homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(homes[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
