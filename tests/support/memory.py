"""This process's resident memory: its peak, and what it is now."""

from __future__ import annotations

import re
import resource
from pathlib import Path


def peak_bytes() -> int:
    """Return the peak since the program started [byte].

    `resource.getrusage` would count the memory of the process that started this one.
    """
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return 1024 * int(found[1])


def forget_peak() -> None:
    """Let the peak begin anew at what is resident now."""
    Path("/proc/self/clear_refs").write_text("5")


def resident_bytes() -> int:
    """Return the resident memory now [byte]."""
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()
