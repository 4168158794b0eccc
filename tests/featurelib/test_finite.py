"""Every statistic of every family is finite, whatever the signal."""

from __future__ import annotations

import numpy as np
import pytest

from featurelib import AudioError, extract_signal_columns, families, feature_names
from featurelib import spec_from_settings as spec_of
from featurelib.statistics import STATISTICS
from tests.featurelib.support.signals import SR, noise
from tests.featurelib.support.specs import entries_of

ALL_STATISTICS = [*(name for name in STATISTICS if name != "series"), "q05"]

SIGNALS = {
    "silence": np.zeros(SR, np.float32),
    "constant": np.full(SR, 0.25, np.float32),
    "one sample": np.full(1, 0.5, np.float32),
    "one frame": noise(0.01),
    "impulse": np.eye(1, SR, 5_000, dtype=np.float32)[0],
    "faintest": np.full(SR, 2.0**-149, np.float32),
    "silence, then noise": np.concatenate((np.zeros(SR, np.float32), noise(0.5))),
    "square": np.where(np.arange(SR) % 100 < 50, 1.0, -1.0).astype(np.float32),
}


@pytest.mark.parametrize("family", families())
@pytest.mark.parametrize("name", SIGNALS)
def test_all_statistics_are_finite(name: str, family: str) -> None:
    fields = {} if families()[family].is_single is True else {"statistics": ALL_STATISTICS}
    # Some families allow quantiles only with a limited duration.
    spec = spec_of({"features": entries_of(family, **fields), "duration": 60.0})
    try:
        columns = extract_signal_columns(SIGNALS[name], SR, spec)
    except AudioError as error:
        is_too_short = error.kind == "too_short" and len(SIGNALS[name]) < SR
        assert is_too_short, error  # noqa: PT017
        return
    values = np.float32([columns[column][0] for column in feature_names(spec)])
    assert np.isfinite(values).all()
