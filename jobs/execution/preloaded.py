"""Imported by the server of worker processes only: importing it does the preloading."""

from __future__ import annotations

from jobs.execution.preload import preload

preload()
