"""docs/architecture.md names the rooms and functions that there are."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from jobs.run import STEPS
from jobs.table.changes import Change
from tests.docs.markdown import TOP, titled
from tests.test_layers import LAYERS

DOCUMENT = "docs/architecture.md"


@pytest.mark.parametrize("package", LAYERS)
def test_the_rooms_are_those_of_the_layers(package: str) -> None:
    named = [
        set(line.split("  ")[0].split(", "))
        for line in titled(DOCUMENT, package).splitlines()
        if not line.startswith(" ")  # the purpose of a long list of rooms
    ]
    assert named == LAYERS[package]


def test_steps_and_planning_classes_are_those_of_a_run() -> None:
    text = (TOP / DOCUMENT).read_text()
    assert tuple(re.findall(r"^\| `(\w+)` \| (?:driver|workers) \|", text, re.MULTILINE)) == STEPS
    for change in Change:
        assert f"`{change.value}`" in text


class Call(NamedTuple):
    """A line of the walk: a function, and the one that calls it."""

    name: str
    caller: str | None
    is_named_there: bool

    def __str__(self) -> str:
        return self.name


def calls() -> Iterator[Call]:
    above: list[tuple[int, str]] = []
    for line in titled(DOCUMENT, "walk").splitlines():
        match = re.fullmatch(r"( *)([\w.]+)(?: +(\[.*\]))?", line)
        if match is None:
            assert line.strip().startswith("--"), line
            continue
        indent, name = len(match[1]), match[2]
        above = [(depth, caller) for depth, caller in above if depth < indent]
        yield Call(name, above[-1][1] if above else None, match[3] is None)
        above.append((indent, name))


def thing(name: str) -> Any:
    """Import what a dotted name is of: a function, a class, or a method."""
    parts = name.split(".")
    for end in range(len(parts) - 1, 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            found = getattr(found, part)
        return getattr(found, "callback", found)  # of a command
    raise AssertionError(f"{name}: there is no such module")


def source(name: str) -> str:
    found = thing(name)
    return inspect.getsource(inspect.unwrap(getattr(found, "py_func", found)))  # of a kernel


@pytest.mark.parametrize("call", list(calls()), ids=str)
def test_every_function_of_the_walk_is_there_and_calls_the_next(call: Call) -> None:
    found = thing(call.name)
    assert found.__module__ == call.name[: len(found.__module__)], "give where it is defined"
    if call.caller is not None and call.is_named_there:
        words = re.findall(r"\w+", source(call.caller))
        assert call.name.split(".")[-1] in words, f"{call.caller} does not name it"


def test_the_walk_goes_from_the_command_to_a_kernel() -> None:
    names = [call.name for call in calls()]
    assert names[0] == "jobs.cli.main"
    assert any(name.startswith("featurelib.kernels.") for name in names)
    assert len(names) == len({*names}) + 1  # a staged file and a part are written alike


@pytest.mark.parametrize(
    "name", sorted({*re.findall(r"`((?:jobs|featurelib)\.[\w.]+)`", (TOP / DOCUMENT).read_text())})
)
def test_other_names_are_there_too(name: str) -> None:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        thing(name)
