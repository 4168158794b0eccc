"""The faults of poor networks by name, in each phase of a run, and a run through one of them."""

from __future__ import annotations

import json
import tempfile
import threading
from collections import Counter
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
    "stale tag": Fault(STALE, 12, ("list", "read"), after_commit=True),
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


class Injection:
    """The rule of a double that hits the first or the second request of each phase, and the next.

    Parameters
    ----------
    fault : Fault
        The fault.
    """

    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        self._seen: Counter[str | None] = Counter()
        self._lock = threading.Lock()

    def __call__(self, method: str, path: str) -> int | str | None:
        fault, phase = self._fault, phase_of(method, path)
        with self._lock:
            if fault.after_commit and phase != "commit" and not self._seen["commit"]:
                return None
            self._seen[phase] += 1
            # some requests are sent once or twice in a run
            first = 1 if phase in ("history", "clean", "commit") or fault.after_commit else 2
            is_hit = first <= self._seen[phase] < first + fault.n
            return fault.what if is_hit and phase in fault.phases else None


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
    seen, report = run_with(Injection(fault), s3, bucket, folder)
    hit = Counter(phase_of(method, path) or "" for method, path, done in seen if done == fault.what)
    return Outcome(hit, len(seen), report)


def run_with(rule: Rule, s3: S3, bucket: str, folder: Path) -> tuple[list[Any], dict[str, Any]]:
    """Run the same with any rule; return what the double has seen, and the printed report."""
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
            return service.seen, json.loads(command.stdout)
