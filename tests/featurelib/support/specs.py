"""A spec to change, and its way through JSON."""

from __future__ import annotations

import json

from featurelib import (
    FeatureSpec,
    get_spec,
)

GENRE = get_spec("genre-v1")


def round_trip(spec: FeatureSpec) -> FeatureSpec:
    # JSON objects may come back with another order of keys, lists may not.
    values = json.loads(json.dumps(spec.to_dict(), sort_keys=True))
    return FeatureSpec.from_dict(values, sources=spec.sources)
