"""docs/findings.md names each kind of finding, and no other."""

from __future__ import annotations

import ast
import re

from tests.docs.markdown import TOP


def kinds_of_the_code() -> set[str]:
    """The words that are the kind of a finding: where `Finding` is called, or in its tables."""
    kinds = {"damaged", "cut"}  # the signs
    for path in (TOP / "jobs" / "report" / "health").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name("Finding"), args=[ast.Constant(str(kind)), *_]):
                    kinds.add(kind)
                case ast.Tuple([ast.Constant(str(kind)), ast.Constant(str(title)), *_]):
                    if re.fullmatch("[a-z_]+", kind) and " " in title:
                        kinds.add(kind)
    return kinds


def test_each_kind_is_explained() -> None:
    text = (TOP / "docs" / "findings.md").read_text()
    rows = re.findall(r"^\| (`.+?`) \|", text, re.MULTILINE)
    assert {kind for row in rows for kind in re.findall(r"`(\w+)`", row)} == kinds_of_the_code()
