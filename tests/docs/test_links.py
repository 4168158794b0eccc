"""Links in the documents lead to files and headings that there are."""

from __future__ import annotations

import re

import pytest

from tests.docs.markdown import TOP

DOCUMENTS = sorted(
    str(path.relative_to(TOP))
    for pattern in ("*.md", "docs/*.md", "deploy/*.md", "examples/*.md", "tests/**/*.md")
    for path in TOP.glob(pattern)
)

#: Files that the documents have their readers make.
EXAMPLES = ("brightness.py", "my_features.py")


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    path = TOP / document
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        found = path.parent / name if name else path
        assert found.exists(), target
        if anchor:
            assert anchor in anchors(found.read_text()), target


@pytest.mark.parametrize("document", DOCUMENTS)
def test_paths_are_those_of_the_repository(document: str) -> None:
    text = (TOP / document).read_text()
    for name in re.findall(r"`((?:featurelib|jobs|examples|tests|docs|deploy)/[\w./-]*)`", text):
        assert (TOP / name).exists(), name
    for name in re.findall(r"`(\w+\.py)`", text):
        assert name in (*EXAMPLES, *(path.name for path in TOP.glob("featurelib/**/*.py"))), name
