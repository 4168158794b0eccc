"""Handle of the process in which librosa runs."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from types import TracebackType
from typing import Any, NamedTuple

import featurelib
from jobs.errors import JobError
from jobs.execution.suspects import python_path
from jobs.verification.outcomes import FileOutcome
from jobs.verification.sampling import SampledFile

#: How long the process may take to end [s].
_END_S = 5.0


class Request(NamedTuple):
    """What the process needs to know before the first file.

    Attributes
    ----------
    spec : FeatureSpec
        The spec.
    corpus : str
        Location to which paths are relative. It may hold a password.
    options : dict
        Storage options for fsspec.
    """

    spec: featurelib.FeatureSpec
    corpus: str
    options: dict[str, Any]


class Process:
    """A process that verifies files; it is started when it is needed, also after it has died.

    Parameters
    ----------
    request : Request
        The spec, and where the files are.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def verify(self, file: SampledFile) -> FileOutcome:
        """Return what is found about a file.

        Raises
        ------
        JobError
            If the process cannot be started.
        """
        if self._process is None:
            self._start()
        try:
            self._connection.send(file)
            return self._connection.recv()
        except (EOFError, OSError):
            code = self._end()
            return FileOutcome(f"ended the process that read it (exit code {code})")

    def _start(self) -> None:
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._connection, theirs = multiprocessing.Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", "jobs.verification.child"),
                    *(str(theirs.fileno()), str(os.getpid())),
                ],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                env={**os.environ, "PYTHONPATH": python_path()},
            )
        try:
            self._connection.send(self._request)
            self._connection.recv()
        except (EOFError, OSError) as error:
            self._output.seek(0)
            lines = self._output.read().decode("utf-8", "replace").strip().splitlines()
            self._end()
            raise JobError(
                f"librosa cannot be used in a process of its own: {(lines or ['no output'])[-1]}"
            ) from error

    def _end(self) -> int:
        if self._process is None:
            return 0
        self._connection.close()  # it ends by itself
        self._output.close()
        try:
            code = self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._process = None
        return code
