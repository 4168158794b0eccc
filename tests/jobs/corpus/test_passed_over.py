"""Passed-over files in words."""

from __future__ import annotations

from collections import Counter

from jobs.corpus.passed_over import by_extension, by_reason, count_extension


def counted(*names: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    for name in names:
        count_extension(counts, name)
    return counts


def test_the_largest_first_and_the_rest_as_one() -> None:
    names = [f"{i}.{'abcdefg'[i % 7]}" for i in range(10)]
    assert by_extension(counted(*names)) == "2 .a, 2 .b, 2 .c, 1 .d, 1 .e, 2 others"
    assert by_extension(counted("x/a.JPG", "b.jpg", "README", "x.y/z")) == (
        "2 .jpg, 2 without extension"
    )


def test_untrusted_extensions() -> None:
    counts = counted("a." + "x" * 200, "b.\x1b[1m", "c.jpg", *(f"d.{i}" for i in range(3000)))
    assert len(counts) <= 1001
    assert counts.total() == 3003
    assert by_extension(counts) == "1 .0, 1 .1, 1 .10, 1 .100, 1 .101, 2998 others"
    assert by_extension(counted("a." + "x" * 200)) == "1 others"


def test_reasons_follow() -> None:
    reasons = Counter({"not audio": 2, "hidden": 1, "filtered out": 0})
    assert by_reason(reasons, Counter({".jpg": 2})) == "2 .jpg, 1 hidden"
    assert by_reason(Counter(), Counter()) == ""
