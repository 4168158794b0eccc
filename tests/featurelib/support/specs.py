"""A spec to change, its way through JSON, and specs of one family."""

from __future__ import annotations

import json
from typing import Any

from featurelib import Feature, FeatureSpec, families, get_spec

GENRE = get_spec("genre-v1")

#: Families that read another one, and a family that each can read.
READS = {"delta": "mfcc", "tonnetz": "chroma_stft"}


def given_nodes(family: str) -> dict[str, Feature]:
    """What a family reads, as for `featurelib.specs.keywords.build`."""
    return {"of": families()[READS[family]]()} if family in READS else {}


def entries_of(family: str, **fields: Any) -> list[dict[str, Any]]:
    """Entry of a family, after that of what it reads, which has no columns."""
    entry = {"family": family, **fields}
    if family not in READS:
        return [entry]
    return [{"family": READS[family], "statistics": []}, {**entry, "of": READS[family]}]


def round_trip(spec: FeatureSpec) -> FeatureSpec:
    # JSON objects may come back with another order of keys, lists may not.
    values = json.loads(json.dumps(spec.to_dict(), sort_keys=True))
    return FeatureSpec.from_dict(values, sources=spec.sources)
