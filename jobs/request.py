"""`RunRequest`: corpus, table, spec and settings of a run."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

import featurelib
from jobs.execution.context import Extractor, Product
from jobs.settings import Settings
from jobs.table.metadata import RecordedSpec


@dataclass(frozen=True)
class RunRequest:
    """The corpus, the table, the spec and the settings of a run.

    Attributes
    ----------
    corpus, table : str
        Locations of the corpus and the table.
    spec : featurelib.FeatureSpec or RecordedSpec
        The spec. A recorded one is enough for planning, but not for extraction.
    settings : Settings
        All other options.
    extractor : callable
        Extracts a file.
    product : Product, optional
        What is made of each file in place of features. `spec` is its record then.
    """

    corpus: str
    table: str
    spec: featurelib.FeatureSpec | RecordedSpec
    settings: Settings = field(default_factory=Settings)
    extractor: Extractor = featurelib.extract_rows
    product: Product | None = None

    @functools.cached_property
    def recorded_spec(self) -> RecordedSpec:
        """The spec as recorded in a table."""
        return self.spec if isinstance(self.spec, RecordedSpec) else RecordedSpec.of(self.spec)

    @property
    def sources(self) -> dict[str, str]:
        """Source code of the user's own features, by digest; tables do not record it."""
        return {} if isinstance(self.spec, RecordedSpec) else self.spec.sources
