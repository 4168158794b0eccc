"""A file or its bytes read, for tests that do not concern the features."""

from __future__ import annotations

import numpy as np
import pytest

from featurelib import AudioError, extract_columns, spec_from_settings
from featurelib.audio import MoreAudioError, open_audio

#: A cheap spec, for tests that do not concern the features.
LIGHT = spec_from_settings(
    {"features": ["rms", "zero_crossing_rate"], "defaults": {"statistics": ["mean"]}}
)


def row(source, spec=LIGHT, **kwargs):
    return {name: values[0] for name, values in extract_columns(source, spec, **kwargs).items()}


def decoded(source, *, duration=None, block_samples=65_536) -> np.ndarray:
    with open_audio(source, duration) as audio:
        while True:
            try:
                blocks = [block.copy() for _, block in audio.blocks(block_samples)]
            except MoreAudioError:
                continue
            return np.concatenate(blocks)


def kind_of(source, spec=LIGHT, **kwargs) -> str:
    with pytest.raises(AudioError) as caught:
        row(source, spec, **kwargs)
    assert "\n" not in str(caught.value)
    return caught.value.kind
