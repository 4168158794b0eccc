"""The code blocks of a Markdown file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

TOP = Path(__file__).resolve().parents[2]


class CodeBlock(NamedTuple):
    """A fenced block.

    Attributes
    ----------
    language : str
        ``python``, ``sh``, …
    title : str
        The file that it shows, of ``title="…"`` behind the language; empty without.
    text : str
        What it holds, without the indentation of a list that it stands in.
    line : int
        Number of the line where it begins.
    """

    language: str
    title: str
    text: str
    line: int


_FENCED = re.compile(
    r'^(?P<indent> *)```(?P<language>\w+)(?: title="(?P<title>[^"]+)")?\n'
    r"(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


def code_blocks(document: str, *languages: str) -> list[CodeBlock]:
    """Return the blocks of a document that are in some languages, or all, in their order."""
    text = (TOP / document).read_text()
    blocks = []
    for match in _FENCED.finditer(text):
        lines = match["text"].splitlines(keepends=True)
        content = "".join(line.removeprefix(match["indent"]) for line in lines)
        line = text.count("\n", 0, match.start()) + 1
        blocks.append(CodeBlock(match["language"], match["title"] or "", content, line))
    return [block for block in blocks if not languages or block.language in languages]


def titled(document: str, title: str) -> str:
    """Return the text of the one block with a title."""
    [text] = [block.text for block in code_blocks(document) if block.title == title]
    return text
