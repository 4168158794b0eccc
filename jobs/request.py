"""What a run is asked for."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

import featurelib
from jobs.execution.task import Extractor
from jobs.settings import Settings
from jobs.table.metadata import RecordedSpec


@dataclass(frozen=True)
class RunRequest:
    """What a run is asked for."""

    corpus: str
    table: str
    spec: featurelib.FeatureSpec | RecordedSpec
    """What to extract; one that a table records is enough to plan with."""
    settings: Settings = field(default_factory=Settings)
    extractor: Extractor = featurelib.extract_rows

    @functools.cached_property
    def recorded_spec(self) -> RecordedSpec:
        """The spec as a table records it."""
        return self.spec if isinstance(self.spec, RecordedSpec) else RecordedSpec.of(self.spec)

    @property
    def sources(self) -> dict[str, str]:
        """Code of features of the user's own, by digest; a table records none."""
        return {} if isinstance(self.spec, RecordedSpec) else self.spec.sources
