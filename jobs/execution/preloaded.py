"""Imported by the server of worker processes only: importing it does the preloading."""

from __future__ import annotations

import os

from jobs.execution.preload import preload

try:
    preload()
except RuntimeError:  # another server takes its place, which preloads nothing
    os._exit(1)
