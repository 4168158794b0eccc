"""The settings files and scripts for Slurm and SSH fit the program."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from jobs.settings import KINDS, Settings, read_config, with_values
from tests.deploy.commands import options_of
from tests.support.driver import ROOT

DEPLOY = ROOT / "deploy"
FILES = sorted(DEPLOY.glob("*/*.toml"))
SCRIPT = DEPLOY / "slurm" / "nightly.sbatch"


def settings_of(path: Path) -> Settings:
    spec, run = read_config(path)
    assert spec == {}
    return with_values(Settings(), run, path.name)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_settings_are_for_the_cluster_of_their_folder(path: Path) -> None:
    settings = settings_of(path)
    assert settings.cluster == path.parent.name
    assert settings.labels == "parent"
    assert settings.cluster_options


def test_each_cluster_that_a_run_starts_elsewhere_has_a_file() -> None:
    assert {path.parent.name for path in FILES} == set(KINDS) - {"local", "inline"}


def test_the_options_of_ssh_are_known() -> None:
    from jobs.execution.clusters.ssh import ssh_options

    options = ssh_options(settings_of(DEPLOY / "ssh" / "featurelib.toml"))
    assert options.hosts == ("node1", "node2")


def _variables() -> dict[str, str]:
    found = re.findall(r"^(\w+)=(\S+)", SCRIPT.read_text(), re.MULTILINE)
    return dict(found) | {"HOME": "/home/ada", "SLURM_SUBMIT_DIR": "/home/ada/jobs"}


def _command() -> list[str]:
    [line] = re.findall(r"^exec (.*)", SCRIPT.read_text().replace("\\\n", " "), re.MULTILINE)
    variables = _variables()
    while "$" in line:
        line = re.sub(r"\$(\w+)", lambda found: variables[found[1]], line)
    return shlex.split(line)


def test_the_batch_script_starts_a_command_that_there_is() -> None:
    program, *arguments = _command()
    assert program == "/home/ada/featurelib/.venv/bin/featurelib"
    found = options_of(arguments)
    assert (found["corpus"], found["table"]) == ("/shared/music", "/shared/tables/music")
    assert found["config"] == "/home/ada/jobs/featurelib.toml"


def test_driver_and_workers_are_in_the_same_partition() -> None:
    [partition] = re.findall(r"^#SBATCH --partition=(\S+)", SCRIPT.read_text(), re.MULTILINE)
    settings = settings_of(DEPLOY / "slurm" / "featurelib.toml")
    assert settings.cluster_options["queue"] == partition


def test_bash_reads_the_batch_script() -> None:
    subprocess.run(["bash", "-n", SCRIPT], check=True)
