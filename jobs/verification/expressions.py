"""Evaluation of librosa calls on one signal; what several calls have in common is done once."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable
from typing import Any

_MEMO = "_memo"


class Expressions:
    """Expressions of one spec, to be evaluated on many signals.

    Parameters
    ----------
    texts : iterable of str
        Python expressions.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        trees = {text: ast.parse(text, mode="eval") for text in dict.fromkeys(texts)}
        counts: Counter[str] = Counter()
        for tree in trees.values():
            counts.update(set(_calls_in(tree.body)))
        shared = {text for text, n in counts.items() if n > 1}
        self._codes = {
            text: compile(ast.fix_missing_locations(_Sharing(shared).visit(tree)), text, "eval")
            for text, tree in trees.items()
        }
        self._inner = {
            text: compile(ast.fix_missing_locations(_inner(text, shared)), text, "eval")
            for text in shared
        }

    def values_of(self, names: dict[str, Any]) -> Values:
        """Return the values of the expressions with these names."""
        return Values(self._codes, self._inner, names)


class Values:
    """Values of expressions on one signal, each computed when it is first asked for.

    Parameters
    ----------
    codes : dict
        The compiled expressions.
    inner : dict
        The compiled calls that several expressions share.
    names : dict
        Names in the expressions.
    """

    def __init__(self, codes: dict[str, Any], inner: dict[str, Any], names: dict[str, Any]) -> None:
        self._codes, self._inner = codes, inner
        self._names = {**names, _MEMO: self._shared}
        self._values: dict[str, Any] = {}

    def __getitem__(self, text: str) -> Any:
        return eval(self._codes[text], self._names)

    def _shared(self, text: str) -> Any:
        if text not in self._values:
            self._values[text] = eval(self._inner[text], self._names)
        return self._values[text]


def _calls_in(node: ast.AST) -> Iterable[str]:
    """Yield the calls in an expression that do not use names of a lambda or a comprehension."""
    if isinstance(node, ast.Lambda | ast.ListComp | ast.GeneratorExp | ast.DictComp | ast.SetComp):
        return
    if isinstance(node, ast.Call):
        yield ast.unparse(node)
    for child in ast.iter_child_nodes(node):
        yield from _calls_in(child)


class _Sharing(ast.NodeTransformer):
    """Replaces calls that are shared by a look into the memory of their values."""

    def __init__(self, shared: set[str]) -> None:
        self._shared = shared

    def visit(self, node: ast.AST) -> Any:
        if isinstance(
            node, ast.Lambda | ast.ListComp | ast.GeneratorExp | ast.DictComp | ast.SetComp
        ):
            return node
        if isinstance(node, ast.Call) and (text := ast.unparse(node)) in self._shared:
            name = ast.Name(_MEMO, ast.Load())
            return ast.Call(name, [ast.Constant(text)], [])
        return self.generic_visit(node)


def _inner(text: str, shared: set[str]) -> ast.Expression:
    """Return a shared call, whose own arguments may be shared too."""
    tree = ast.parse(text, mode="eval")
    tree.body = _Sharing(shared).generic_visit(tree.body)  # type: ignore[assignment]
    return tree
