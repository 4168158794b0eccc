"""The faults of poor networks by name, in each phase of a run, and a run through one of them."""

from __future__ import annotations

import json
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tests.conftest import S3
from tests.support import driver
from tests.support.s3_double import (
    CUT,
    FLIP,
    HANG,
    RESET,
    RESET_AFTER,
    SLOW,
    STALE,
    Rule,
    double,
)

#: The client gives up sooner than usual, so that a test of hanging requests takes seconds [s].
READ_TIMEOUT_S = 3

#: What a run asks a service for.
PHASES = ("list", "fetch", "stage", "read", "commit", "lease", "history", "clean")


class Fault(NamedTuple):
    """A fault.

    Attributes
    ----------
    what
        What the double does, see `tests.support.s3_double`.
    n
        How many requests in a row of each phase it hits.
    phases
        The phases that it can hit.
    after_commit
        Whether it hits only what is asked for after a part was written.
    """

    what: int | str
    n: int
    phases: tuple[str, ...] = PHASES
    after_commit: bool = False


_WITH_BODY = ("list", "fetch", "read")

FAULTS = {
    "burst of 503": Fault(503, 6),
    "answer dropped after success": Fault(RESET_AFTER, 3),
    "reset": Fault(RESET, 4),
    "slow": Fault(SLOW, 2),
    "cut body": Fault(CUT, 3, _WITH_BODY),
    "flipped bit": Fault(FLIP, 2, _WITH_BODY),
    "hang": Fault(HANG, 1),
    "stale tag": Fault(STALE, 2, ("list", "read"), after_commit=True),
}


def phase_of(method: str, path: str) -> str | None:
    """Return the phase of a request; None for what is asked before the run begins."""
    _, _, key = path.lstrip("/").partition("/")
    is_part = "/part-" in key
    match method:
        case "GET" if not key:
            return "list"
        case "GET" if key.startswith("corpus/"):
            return "fetch"
        case "GET" if is_part or "/staged/" in key:
            return "read"
        case "PUT" if "/staged/" in key:
            return "stage"
        case "PUT" if is_part:
            return "commit"
        case "PUT" if key.endswith("/lease.json"):
            return "lease"
        case "PUT" if "/runs/" in key:
            return "history"
        case "POST":
            return "clean"
    return None


@dataclass
class Injection:
    """The rule of a double that hits the second and the next requests of each phase.

    Attributes
    ----------
    counts
        How many requests of each phase it hit.
    """

    fault: Fault
    counts: Counter[str] = field(default_factory=Counter)
    _seen: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, method: str, path: str) -> int | str | None:
        phase = phase_of(method, path)
        with self._lock:
            if phase is None or phase not in self.fault.phases:
                self._seen[phase or ""] += 1
                return None
            if self.fault.after_commit and not self._seen["commit"]:
                return None
            self._seen[phase] += 1
            # a run writes its history twice, and cleans up twice: hit those from the first on
            first = 1 if phase in ("history", "clean", "commit") or self.fault.after_commit else 2
            if not first <= self._seen[phase] < first + self.fault.n:
                return None
            self.counts[phase] += 1
            return self.fault.what


class Outcome(NamedTuple):
    """A run through a fault.

    Attributes
    ----------
    hit
        How many requests of each phase the fault hit.
    n_requests
        Number of all requests.
    report
        What the command printed with ``--json``.
    """

    hit: Counter[str]
    n_requests: int
    report: dict[str, Any]


def run_through(fault: Fault, s3: S3, bucket: str, folder: Path) -> Outcome:
    """Run the command with two workers through a fault, on a bucket's corpus and table."""
    injection = Injection(fault)
    n_requests, report = run_with(injection, s3, bucket, folder)
    return Outcome(injection.counts, n_requests, report)


def run_with(rule: Rule, s3: S3, bucket: str, folder: Path) -> tuple[int, dict[str, Any]]:
    """Run the same with any rule; return the number of requests, and the printed report."""
    with double(s3, rule) as service:
        options = [
            *(f"key={s3.key}", f"secret={s3.secret}", f"endpoint_url={service.s3.endpoint}"),
            *(
                "client_kwargs.region_name=us-east-1",
                f"config_kwargs.read_timeout={READ_TIMEOUT_S}",
            ),
        ]
        line = ["extract", f"s3://{bucket}/corpus", "-o", f"s3://{bucket}/table", "--json"]
        line += ["--labels", "parent", "--workers", "2", "--max-deleted", "1"]
        line += ["--preset", "tutorial-v1"]
        line += [text for option in options for text in ("--storage-option", option)]
        with driver.started(*line, folder=Path(tempfile.mkdtemp(dir=folder))) as command:
            code = command.wait(280)
            assert code == 0, command.stderr
            return len(service.seen), json.loads(command.stdout)
