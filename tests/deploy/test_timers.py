"""The files for systemd and cron fit their own checkers, and start a command that there is."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from jobs.cli.running import EXIT_CODES
from tests.deploy.commands import options_of
from tests.deploy.programs import needed
from tests.support.driver import ROOT

UNITS = ROOT / "deploy" / "systemd"
CRONTAB = ROOT / "deploy" / "crontab"


class Unit(dict[str, list[str]]):
    """The settings of a unit file; each may be there several times."""

    def __init__(self, name: str) -> None:
        for line in (UNITS / name).read_text().splitlines():
            setting, equals, value = line.partition("=")
            if equals and not line.startswith("#"):
                self.setdefault(setting, []).append(value)


def _without_values(text: str, values: dict[str, str]) -> str:
    return re.sub(r"\$\{(\w+)\}", lambda found: values[found[1]], text)


def test_the_service_starts_a_command_that_there_is() -> None:
    unit = Unit("featurelib.service")
    values = dict(pair.split("=", 1) for line in unit["Environment"] for pair in shlex.split(line))
    [line] = unit["ExecStart"]
    program, *arguments = shlex.split(_without_values(line, values))
    assert program.endswith("/featurelib")
    found = options_of(arguments)
    assert (found["corpus"], found["table"]) == ("/srv/music", "/srv/tables/music")
    [writable] = unit["ReadWritePaths"]
    assert Path(writable) in Path(found["table"]).parents
    assert values["NUMBA_CACHE_DIR"] == f"/var/cache/{unit['CacheDirectory'][0]}"


def test_the_service_knows_the_exit_codes() -> None:
    unit = Unit("featurelib.service")
    [good], [final] = unit["SuccessExitStatus"], unit["RestartPreventExitStatus"]
    codes = [*good.split(), *final.split()]
    assert sorted(map(int, codes)) == [2, 3, 75, 143]
    assert all(f"\n  {code} " in EXIT_CODES for code in codes)


def test_the_timer_is_for_the_service() -> None:
    names = {path.name for path in UNITS.iterdir()}
    assert names == {"featurelib.service", "featurelib.timer", "featurelib-failed@.service"}
    [on_failure] = Unit("featurelib.service")["OnFailure"]
    assert re.sub("@.*", "@.service", on_failure) in names


def test_cron_starts_a_command_that_there_is() -> None:
    [line] = [line for line in CRONTAB.read_text().splitlines() if not line.startswith("#")]
    *times, command = line.split(maxsplit=5)
    assert len(times) == 5
    assert "%" not in command  # cron makes a new line of it
    program, *arguments = shlex.split(command.partition(" || ")[0])
    assert program.endswith("/featurelib")
    assert options_of(arguments)["labels"] == "parent"


@pytest.mark.parametrize(("code", "logged"), [(0, False), (75, False), (3, True)])
def test_cron_tells_of_failures(tmp_path: Path, code: int, logged: bool) -> None:
    [line] = [line for line in CRONTAB.read_text().splitlines() if not line.startswith("#")]
    command = line.split(maxsplit=5)[5].replace("/srv/featurelib/.venv/bin/", "")
    for name, text in (("featurelib", f"exit {code}"), ("logger", 'echo "$@"')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:/usr/bin:/bin"
    done = subprocess.run(["/bin/sh", "-c", command], env={"PATH": path}, capture_output=True)
    assert done.stdout.decode() == (f"-t featurelib extract ended with {code}\n" if logged else "")


@pytest.fixture
def systemd_root(tmp_path: Path) -> Path:
    """Make a root folder with the units and the programs that they start."""
    shutil.copytree(UNITS, tmp_path / "etc/systemd/system")
    for name in ("featurelib.service", "featurelib-failed@.service"):
        program = tmp_path / Unit(name)["ExecStart"][0].split()[0].lstrip("/")
        program.parent.mkdir(parents=True, exist_ok=True)
        program.touch(0o755)
    # what the units name: timers.target, …
    shutil.copytree("/lib/systemd/system", tmp_path / "lib/systemd/system", symlinks=True)
    return tmp_path


@pytest.mark.programs
def test_systemd_accepts_the_units(systemd_root: Path) -> None:
    needed("systemd-analyze", "systemd")
    for name in ("featurelib.timer", "featurelib.service", "featurelib-failed@now.service"):
        done = _analyze("verify", f"--root={systemd_root}", name)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")
    broken = systemd_root / "etc/systemd/system/featurelib.service"
    broken.write_text(broken.read_text().replace("MemoryMax", "MemoryMaximum"))
    done = _analyze("verify", f"--root={systemd_root}", "featurelib.service")
    assert "MemoryMaximum" in done.stderr


@pytest.mark.programs
def test_systemd_reads_the_calendar() -> None:
    needed("systemd-analyze", "systemd")
    [calendar] = Unit("featurelib.timer")["OnCalendar"]
    done = _analyze("calendar", calendar)
    assert "Normalized form: *-*-* 02:30:00\n" in done.stdout


@pytest.mark.programs
def test_the_service_is_confined() -> None:
    """By systemd's own measure, where 10 is no confinement."""
    needed("systemd-analyze", "systemd")
    done = _analyze("security", "--offline=true", str(UNITS / "featurelib.service"))
    exposure = re.search(r"exposure level for featurelib.service: ([\d.]+)", done.stdout)
    assert exposure is not None, done.stderr
    assert float(exposure[1]) < 2.5


@pytest.mark.programs
def test_cron_accepts_the_crontab() -> None:
    done = subprocess.run(
        [needed("crontab", "cron"), "-n", CRONTAB], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def _analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True)
