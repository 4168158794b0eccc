"""The rooms import one way only; docs/architecture.md says which."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import featurelib

TOP = Path(__file__).resolve().parents[1]

#: A module may import the rooms before its own, and its own room.
LAYERS = {
    "featurelib": [
        {"errors", "extras", "progress"},
        {"audio", "kernels", "parameters", "raster", "rows", "spill"},
        {"filters", "graph"},
        {"transforms"},
        {"features"},
        {"statistics"},
        {"specs"},
        {"columns"},
        {"extraction"},
        {"plot"},
        {"featurelib"},
    ],
    "jobs": [
        {"errors", "diagnostics.events"},
        {"storage"},
        {"settings"},
        {"corpus"},
        {"table"},
        {"execution"},
        {"request"},
        {"diagnostics"},
        {"preflight", "limits", "reuse"},
        {"run", "relocation", "repartition"},
        {"status", "runs"},
        {"export", "verification", "images", "models"},
        {"report"},
        {"api", "jobs"},
        {"cli"},
        {"demo"},
    ],
}

#: The rooms that import Dask. `execution.opening` only does so when it is called.
DASK = {
    "jobs.execution.dask",
    "jobs.execution.dask_task",
    "jobs.execution.performance",
    "jobs.execution.leaving",
    "jobs.execution.pulse",
    "jobs.execution.watch",
    "jobs.execution.workers",
    "jobs.execution.clusters",
}


def modules(package: str) -> Iterator[tuple[str, ast.Module]]:
    for path in sorted((TOP / package).rglob("*.py")):
        parts = path.relative_to(TOP).with_suffix("").parts
        name = ".".join(parts).removesuffix(".__init__").removesuffix(".__main__")
        yield name, ast.parse(path.read_text())


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield the modules that code imports, anywhere in it, but not for type checkers only."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        else:
            yield from imported(node)


def layer_of(package: str, module: str) -> int:
    """Return the layer of a module, by its longest name that is in the table."""
    parts = module.split(".")[1:] or [package]
    for end in range(len(parts), 0, -1):
        for layer, rooms in enumerate(LAYERS[package]):
            if ".".join(parts[:end]) in rooms:
                return layer
    pytest.fail(f"{module} is in no layer: add it to LAYERS and to docs/architecture.md")


def names_of(package: str) -> set[str]:
    return {name for name, _ in modules(package)}


@pytest.mark.parametrize("package", LAYERS)
def test_imports_point_one_way(package: str) -> None:
    known = names_of(package)
    wrong = [
        f"{module} imports {target}"
        for module, tree in modules(package)
        for target in imported(tree)
        if target in known and target != package
        if layer_of(package, target) > layer_of(package, module)
    ]
    assert wrong == []


def test_featurelib_knows_nothing_of_the_job() -> None:
    """Only its pictures are drawn with librosa; no value is computed with it."""
    for module, tree in modules("featurelib"):
        others = {target.split(".")[0] for target in imported(tree)}
        unknown = {"jobs", "dask", "distributed", "s3fs", "librosa", "matplotlib"}
        if module.startswith("featurelib.plot"):
            unknown -= {"librosa", "matplotlib"}
        assert not others & unknown, module


def test_one_public_name_of_featurelib_is_of_the_job() -> None:
    """`load_table` reads a table of `jobs`: it is found when it is asked for."""
    package = TOP / "featurelib"
    places = [
        (path.name, node.value)
        for path in sorted(package.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and str(node.value).startswith("jobs.")
    ]
    assert places == [("__init__.py", "jobs.models.loading")]
    names = [name for name, home in featurelib._LAZY.items() if home == "jobs.models.loading"]
    assert names == ["load_table"]
    assert featurelib.load_table.__module__ == "jobs.models.loading"


def test_the_job_enters_featurelib_by_the_front_door() -> None:
    """Only its public names, the progress bar and the choice of the kernels."""
    open_doors = {"featurelib", "featurelib.extras", "featurelib.progress", "featurelib.kernels"}
    known = names_of("featurelib") - open_doors - {"featurelib.kernels.choice"}
    for module, tree in modules("jobs"):
        assert not known & set(imported(tree)), module


def test_dask_stays_in_its_room() -> None:
    for module, tree in modules("jobs"):
        if not module.startswith(tuple(DASK)):
            roots = {target.split(".")[0] for target in imported(tree)}
            assert not roots & {"dask", "distributed"}, module


def test_planning_reads_nothing() -> None:
    """What becomes of a file is decided by pure functions."""
    [tree] = [tree for name, tree in modules("jobs") if name == "jobs.table.changes"]
    roots = {target.split(".")[0] for target in imported(tree)} - {"jobs", "__future__"}
    assert roots == {"collections", "dataclasses", "enum", "functools", "numpy", "pyarrow"}
    assert not any("storage" in target for target in imported(tree))
