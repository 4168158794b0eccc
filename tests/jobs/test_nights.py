"""The line of deploy/crontab, night after night: exit codes, the history, and the table."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from jobs.runs import Run, runs_in
from jobs.storage.opening import open_store
from jobs.table.history import read_summaries
from tests.support import driver
from tests.support.audio_files import make_corpus, write_tone
from tests.support.driver import Command, wait_until, wait_until_gone
from tests.support.light import FEATURELIB, command
from tests.support.tables import assert_same_table, assert_tidy, errors_of, paths_of

CRONTAB = Path(__file__).resolve().parents[2] / "deploy" / "crontab"

_LOGGER = """#!/bin/sh
echo "$3" >> "$(dirname "$0")/said"
"""


class Machine:
    """A machine with a corpus on a disk of its own, a table, and a crontab.

    Attributes
    ----------
    disk : Path
        The disk with the corpus.
    corpus : Path
        Where it is mounted.
    table : Path
        The table.
    """

    def __init__(self, top: Path) -> None:
        self.top, self.disk = top, top / "disk"
        self.corpus, self.table = top / "music", top / "tables" / "music"
        self._programs = top / "bin"
        for folder in (self.disk, self.corpus, self._programs):
            folder.mkdir()
        (self._programs / "logger").write_text(_LOGGER)
        (self._programs / "logger").chmod(0o755)
        self._is_bound = False
        self.mount()

    def mount(self) -> None:
        """Mount the disk; where that is not permitted, let a link stand for the mount."""
        bound = subprocess.run(["mount", "--bind", self.disk, self.corpus], capture_output=True)
        self._is_bound = bound.returncode == 0
        if not self._is_bound:
            self.corpus.rmdir()
            self.corpus.symlink_to(self.disk)

    def unmount(self) -> None:
        if self._is_bound:
            subprocess.run(["umount", self.corpus], check=True)
        else:
            self.corpus.unlink()
            self.corpus.mkdir()

    @property
    def crontab(self) -> list[str]:
        """The lines of the crontab, with this machine's paths and each minute for the time."""
        [line] = [
            line for line in CRONTAB.read_text().splitlines() if not line.startswith(("#", "\n"))
        ]
        for theirs, own in (
            ("/srv/featurelib/.venv/bin/featurelib", FEATURELIB),
            ("/srv/tables/music", self.table),
            ("/srv/music", self.corpus),
        ):
            assert line.count(theirs) == 1, line
            line = line.replace(theirs, shlex.quote(str(own)))
        schedule, command = line.split("  ", 1)
        assert len(schedule.split()) == 5
        return [
            *(f"{name}={value}" for name, value in self.environment.items()),
            f"* * * * *  {command}",
        ]

    @property
    def environment(self) -> dict[str, str]:
        """What cron gives to commands, and where the code and temporary files are."""
        kept = {name: os.environ[name] for name in ("PYTHONPATH", "TMPDIR") if name in os.environ}
        return {"SHELL": "/bin/sh", "PATH": f"{self._programs}:/usr/bin:/bin", **kept}

    def begin(self) -> subprocess.Popen[bytes]:
        """Start the command of the crontab as cron does."""
        line = self.crontab[-1].split("  ", 1)[1]
        home = {"HOME": os.path.expanduser("~"), "LOGNAME": "root"}
        return subprocess.Popen(
            ["/bin/sh", "-c", line],
            env=home | self.environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def night(self) -> str:
        """Run the command of the crontab to its end; return what it has told the operator."""
        before = self.said
        self.begin().wait(200)
        return self.said.removeprefix(before).strip()

    @property
    def said(self) -> str:
        file = self._programs / "said"
        return file.read_text() if file.exists() else ""

    @property
    def runs(self) -> list[Run]:
        return runs_in(open_store(str(self.table)))


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    yield machine
    machine.unmount()


def add_long_files(machine: Machine, label: str) -> None:
    make_corpus(machine.disk, {label: 24}, seconds=20.0)


def when_running(machine: Machine, do: Callable[[psutil.Process], None]) -> str:
    """Start the night's run, do something to it when it extracts, and wait for its end."""
    before, said = {run.run_id for run in machine.runs}, machine.said
    shell = machine.begin()

    def is_extracting() -> bool:
        assert shell.poll() is None
        [*new] = [run.run_id for run in machine.runs if run.run_id not in before]
        staged = (machine.table / "_job" / "runs" / name / "staged" for name in new)
        return any(any(folder.glob("*")) for folder in staged if folder.exists())

    wait_until(is_extracting, "the first staged file")
    [run] = psutil.Process(shell.pid).children()
    family = [run, *run.children(recursive=True)]
    do(run)
    shell.wait(200)
    wait_until_gone(family)
    return machine.said.removeprefix(said).strip()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_twelve_nights(machine: Machine) -> None:
    disk = machine.disk
    make_corpus(disk, {"blues": 10, "jazz": 10, "rock": 10}, suffixes=(".wav", ".flac"))

    # 1: the first run. 2: nothing has changed
    assert [machine.night(), machine.night()] == ["", ""]

    # 3: files are new, changed, renamed and gone
    write_tone(disk / "rock" / "new.wav", 333.0)
    write_tone(disk / "rock" / "rock.00000.wav", 444.0, seconds=0.7)
    (disk / "jazz" / "jazz.00000.wav").rename(disk / "jazz" / "renamed.wav")
    (disk / "blues" / "blues.00000.wav").unlink()
    assert machine.night() == ""

    # 4: files that are no audio, or a part of it
    (disk / "rock" / "empty.wav").touch()
    (disk / "rock" / "text.flac").write_text("no audio")
    assert machine.night() == ""
    assert errors_of(machine.table) == {"rock/empty.wav": "empty", "rock/text.flac": "undecodable"}

    # 5: the disk is not mounted. 6: it is again
    machine.unmount()
    assert machine.night() == "extract ended with 1"
    machine.mount()
    assert machine.night() == ""

    # 7: a folder is gone. 8: it is there again
    (disk / "jazz").rename(machine.top / "jazz")
    assert machine.night() == "extract ended with 3"
    (machine.top / "jazz").rename(disk / "jazz")
    assert machine.night() == ""

    # 9: the driver is killed. 10: the next run goes on where it was
    add_long_files(machine, "metal")
    assert when_running(machine, psutil.Process.kill) == "extract ended with 137"
    assert machine.night() == ""
    assert read_summaries(open_store(str(machine.table)))[-1]["report"]["reused"] > 0

    # 11: a run that takes so long that the next one finds it at work, which is nothing to tell
    add_long_files(machine, "pop")

    def overlap(run: psutil.Process) -> None:
        run.suspend()
        assert machine.night() == ""
        run.resume()

    assert when_running(machine, overlap) == ""

    # 12: what was wrong is mended, and a file gets another label
    write_tone(disk / "rock" / "empty.wav", 555.0)
    (disk / "rock" / "text.flac").unlink()
    (disk / "rock" / "new.wav").rename(disk / "jazz" / "new.wav")
    assert machine.night() == ""

    assert [(run.status, run.exit_code) for run in machine.runs] == [
        *[("done", 0)] * 4,
        *[("failed", 1), ("done", 0), ("held", 3), ("done", 0)],
        *[("killed", None), ("done", 0), ("done", 0), ("done", 0)],
    ]
    counts = [(run.n_new, run.n_changed, run.n_retried, run.n_deleted) for run in machine.runs]
    nothing = (0, 0, 0, 0)
    assert counts == [
        *[(30, 0, 0, 0), nothing, (2, 1, 0, 2), (2, 0, 0, 0)],
        *[nothing, nothing, (0, 0, 0, 10), nothing],
        *[nothing, (24, 0, 0, 0), (24, 0, 0, 0), (1, 0, 1, 2)],
    ]
    assert "no audio files" in machine.runs[4].reason
    assert "--max-deleted" in machine.runs[6].reason
    starts = [run.started for run in machine.runs if run.started is not None]
    assert starts == sorted(starts)
    assert len(starts) == 12
    assert [run.seconds is None for run in machine.runs].index(True) == 8

    fresh = machine.top / "fresh"
    done = command("extract", machine.corpus, "--output", fresh, "--labels", "parent")
    assert done.returncode == 0, done.stderr
    assert_same_table(machine.table, fresh)
    assert_tidy(machine.table)
    text = command("runs", machine.table).stdout
    assert len(text.splitlines()) == 1 + 12 + 2


#: A namespace in which cron has no crontabs but its own, and the machine's is not touched.
_CRON = """
mount --bind {empty} /etc/cron.d && mount --bind /dev/null /etc/crontab &&
mount -t tmpfs tmpfs /var/spool/cron/crontabs && mount -t tmpfs tmpfs /run &&
crontab {crontab} && exec cron -f
"""


@pytest.mark.programs
@pytest.mark.timeout(400)  # cron starts something once a minute
def test_cron_starts_the_runs(machine: Machine) -> None:
    """Twice: the first run makes the table, the second one takes what is new."""
    for program in ("cron", "crontab", "unshare"):
        assert shutil.which(program), f"there is no {program}: apt-get install cron util-linux"
    make_corpus(machine.disk, {"rock": 3})
    (machine.top / "empty").mkdir()
    (machine.top / "crontab").write_text("\n".join([*machine.crontab, ""]))
    script = _CRON.format(empty=machine.top / "empty", crontab=machine.top / "crontab")
    line = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]
    with driver.running(line, machine.top) as cron:
        wait_for_runs(machine, cron, 1)
        write_tone(machine.disk / "rock" / "new.wav", 333.0)
        wait_for_runs(machine, cron, len(machine.runs) + 1)
        family = cron.family()
        cron.process.send_signal(signal.SIGTERM)
        cron.wait()
        wait_until_gone(family)
    assert {run.status for run in machine.runs} == {"done"}
    assert sum(run.n_new for run in machine.runs) == 4
    assert machine.said == ""
    assert len(paths_of(machine.table)) == 4


def wait_for_runs(machine: Machine, cron: Command, n: int) -> None:
    def has_runs() -> bool:
        assert cron.is_running, f"cron has ended: {cron.stderr}"
        return machine.table.exists() and sum(r.ended is not None for r in machine.runs) >= n

    wait_until(has_runs, f"{n} runs that cron has started", 140)
