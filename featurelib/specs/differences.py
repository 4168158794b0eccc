"""Differences between two specs, in words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


def spec_differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """Describe the differences between two specs.

    Parameters
    ----------
    a, b : mapping
        Old and new spec, as `FeatureSpec.to_dict` returns them.

    Returns
    -------
    list of str
        Lines such as ``"mfcc.n_fft: 2048 → 1024"``. The names of the specs are ignored,
        because they do not change values.
    """
    lines = []
    for key in [*a, *(key for key in b if key not in a)]:
        if key == "name" or (key in a and key in b and a[key] == b[key]):
            continue
        if key == "features" and _are_entries(a.get(key)) and _are_entries(b.get(key)):
            lines += _entry_differences(a[key], b[key])
        else:
            lines.append(f"{key}: {_shown(a, key)} → {_shown(b, key)}")
    return lines


def _are_entries(value: Any) -> bool:
    return isinstance(value, Sequence) and all(isinstance(entry, Mapping) for entry in value)


def _entry_differences(a: Sequence[Any], b: Sequence[Any]) -> list[str]:
    before = {str(entry.get("as")): entry for entry in a}
    after = {str(entry.get("as")): entry for entry in b}
    lines = [f"features: without {name}" for name in before if name not in after]
    lines += [f"features: with {name}" for name in after if name not in before]
    for name in before:
        left, right = before[name], after.get(name, before[name])
        for key in [*left, *(key for key in right if key not in left)]:
            if key not in left or key not in right or left[key] != right[key]:
                lines.append(f"{name}.{key}: {_shown(left, key)} → {_shown(right, key)}")
    return lines or [f"features: order {', '.join(before)} → {', '.join(after)}"]


def _shown(values: Mapping[str, Any], key: str) -> str:
    if key not in values:
        return "(absent)"
    value = values[key]
    return value if isinstance(value, str) else json.dumps(value, default=str)
