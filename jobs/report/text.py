"""Numbers and untrusted names as text on a page."""

from __future__ import annotations

import math
from collections.abc import Iterable

from jobs.diagnostics.progress import printable

#: Longest name that is shown whole.
MAX_LENGTH = 160

_BYTES = ("byte", "kB", "MB", "GB", "TB", "PB")


def shown(value: object, length: int = MAX_LENGTH) -> str:
    r"""Return an untrusted text with control characters escaped, and shortened in its middle.

    Markup is not escaped: the template does that.

    Examples
    --------
    >>> print(shown("one\ntwo"))
    one\ntwo
    >>> shown("a" * 100 + ".wav", 20)
    'aaaaaaaaa…aaaaaa.wav'
    """
    text = str(value)
    if len(text) > length:
        half = (length - 1) // 2
        text = f"{text[:half]}…{text[len(text) - (length - 1 - half) :]}"
    return printable(text)


def distinct(values: Iterable[object]) -> list[str]:
    r"""Return untrusted texts as `shown` does, with a number where two would be the same.

    Examples
    --------
    >>> distinct(["rock", "a\n", r"a\n"])
    ['rock', 'a\\n', 'a\\n (2)']
    """
    found: dict[str, None] = {}
    for value in values:
        text = name = shown(value)
        n = 1
        while name in found:
            n += 1
            name = f"{text} ({n})"
        found[name] = None
    return list(found)


def count(n: int) -> str:
    r"""Return a whole number with a thin space between thousands.

    Examples
    --------
    >>> count(1234567).split("\N{NARROW NO-BREAK SPACE}")
    ['1', '234', '567']
    """
    return f"{n:,}".replace(",", "\u202f")


def percent(share: float) -> str:
    """Return a share as percent, with a digit more below 10 % and above 95 %.

    Examples
    --------
    >>> percent(0.5), percent(0.052), percent(0.00001), percent(0)
    ('50 %', '5.2 %', 'below 0.1 %', '0 %')
    >>> percent(0.985), percent(0.9999), percent(1)
    ('98.5 %', 'above 99.9 %', '100 %')
    """
    if 0 < share < 0.001:
        return "below 0.1 %"
    if 0.999 < share < 1:
        return "above 99.9 %"
    is_round = share in (0, 1) or 0.0995 <= share <= 0.95
    return f"{100 * share:.0f} %" if is_round else f"{100 * share:.1f} %"


def seconds(value: float | None) -> str:
    """Return a duration with a unit that fits: 0.25 s, 3:05 min, 2:10 h.

    Examples
    --------
    >>> seconds(0.25), seconds(29.9), seconds(185), seconds(7800), seconds(None)
    ('0.25 s', '29.9 s', '3:05 min', '2:10 h', '')
    """
    if value is None or math.isnan(value):
        return ""
    if value < 60:
        return f"{value:.3g} s"
    if value < 3600:
        minutes, rest = divmod(round(value), 60)
        return f"{minutes}:{rest:02} min"
    return hours(value / 3600)


def hours(value: float) -> str:
    """Return hours and minutes, or whole hours if there are many.

    Examples
    --------
    >>> hours(0.5), hours(2.25), hours(234.5)
    ('0:30 h', '2:15 h', '234 h')
    """
    if value >= 100:
        return f"{count(int(value))} h"
    whole, minutes = divmod(round(value * 60), 60)
    return f"{whole}:{minutes:02} h"


def size(n_bytes: int) -> str:
    """Return a number of bytes with a decimal unit.

    Examples
    --------
    >>> size(999), size(1_500_000), size(999_999)
    ('999 byte', '1.5 MB', '1 MB')
    """
    value, unit = float(n_bytes), _BYTES[0]
    for unit in _BYTES:
        if value < 999.5 or unit == _BYTES[-1]:  # it is rounded to three digits
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == _BYTES[0] else f"{value:.3g} {unit}"


def number(value: float | None) -> str:
    """Return a number with four significant digits; nothing for one that is not known.

    Examples
    --------
    >>> number(3.14159), number(float("nan"))
    ('3.142', '')
    """
    if value is None or not math.isfinite(value):
        return ""
    return f"{value:.4g}"
