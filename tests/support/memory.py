"""Peak of this process's resident memory."""

from __future__ import annotations

import re
from pathlib import Path


def peak_bytes() -> int:
    """Return the peak since the program started [byte].

    `resource.getrusage` would count the memory of the process that started this one.
    """
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return 1024 * int(found[1])
