"""The DAG ends its task as the exit codes of a run say, with doubles for Airflow."""

from __future__ import annotations

import runpy
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.commands import options_of
from tests.support.driver import ROOT

DAG = ROOT / "deploy" / "airflow" / "featurelib_dag.py"


class AirflowException(Exception):  # noqa: N818 - Airflow's names
    """Is tried again."""


class AirflowFailException(AirflowException):
    pass


class AirflowSkipException(AirflowException):
    pass


Task = Callable[[], None]


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> list[Task]:
    """Stand for Airflow; give the tasks that a DAG has."""
    tasks: list[Task] = []
    sdk, exceptions = types.ModuleType("airflow.sdk"), types.ModuleType("airflow.exceptions")

    def task(function: Task) -> Task:
        return lambda: tasks.append(function)

    def dag(**arguments: Any) -> Callable[[Task], Task]:
        assert arguments["max_active_runs"] == 1
        return lambda function: function

    sdk.task, sdk.dag = task, dag  # type: ignore[attr-defined]
    for kind in (AirflowException, AirflowFailException, AirflowSkipException):
        setattr(exceptions, kind.__name__, kind)
    for module in (types.ModuleType("airflow"), sdk, exceptions):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return tasks


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (0, None),
        (1, AirflowException),
        (2, AirflowFailException),
        (3, AirflowFailException),
        (4, AirflowException),
        (75, AirflowSkipException),
        (143, AirflowException),
    ],
)
def test_exit_codes_decide(
    airflow: list[Task], tmp_path: Path, code: int, outcome: type[Exception] | None
) -> None:
    program = tmp_path / "featurelib"
    program.write_text(f"#!/bin/sh\nexit {code}\n")
    program.chmod(0o755)
    names = runpy.run_path(str(DAG))
    names["COMMAND"][0] = str(program)
    [task] = airflow
    raised: Exception | None = None
    try:
        task()
    except AirflowException as error:
        raised = error
    assert type(raised) is (outcome or type(None))


def test_the_command_is_one_that_there_is(airflow: list[Task]) -> None:
    program, *arguments = runpy.run_path(str(DAG))["COMMAND"]
    assert program.endswith("/featurelib")
    assert options_of(arguments)["table"].startswith("s3://")
