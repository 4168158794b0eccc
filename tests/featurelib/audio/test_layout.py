"""Decoded samples of all malformed files in the table of troubles."""

from __future__ import annotations

import numpy as np
import pytest

from featurelib import AudioError, extract_columns, spec_from_settings
from tests.featurelib.support.encoders import FORMATS, made
from tests.featurelib.support.listening import listen, merged, rms, seconds
from tests.featurelib.support.troubles import TROUBLES

LIGHT = spec_from_settings({"features": ["rms"], "defaults": {"statistics": ["mean"]}})


@pytest.mark.parametrize("n_bytes", [1, 5, 11, 20])
@pytest.mark.parametrize("name", FORMATS)
def test_files_that_end_in_their_header_have_no_audio(name, n_bytes, capfd):
    data = made(name, np.zeros(1000, np.float32))[:n_bytes]
    with pytest.raises(AudioError) as caught:
        extract_columns(data, LIGHT)
    assert caught.value.kind in ("undecodable", "empty")


@pytest.mark.parametrize("name", TROUBLES)
def test_what_is_heard_and_said_of_files_in_trouble(name, capfd):
    trouble = TROUBLES[name]
    data, healthy = trouble.make()
    right = merged(list(healthy))
    heard = listen(data)
    facts = heard.facts
    assert (facts.decoding, facts.decoder, facts.n_streams) == (
        trouble.decoding,
        trouble.decoder,
        trouble.n_streams,
    )
    for (sr, got), (right_sr, y) in zip(heard.signals, right, strict=True):
        assert (sr, got.shape[1]) == (right_sr, y.shape[1])
        assert abs(len(got) - len(y)) <= trouble.within
        if trouble.atol is not None:
            np.testing.assert_allclose(got, y, rtol=0, atol=trouble.atol)
        half = sr // 2
        assert rms(got[:half]) == pytest.approx(rms(y[:half]), rel=0.03)
        assert rms(got[-half:]) == pytest.approx(rms(y[-half:]), rel=0.03)
    lost_s = trouble.lost_s if trouble.whole_s is None else trouble.whole_s - seconds(right)
    if lost_s is None:
        assert facts.lost_s is None
    else:
        assert facts.lost_s == pytest.approx(lost_s, abs=trouble.within / right[0][0] + 1e-6)


@pytest.mark.parametrize("name", [name for name in TROUBLES if name.startswith("mp3 damaged by")])
def test_mp3_frames_whose_data_are_lost_are_no_noise(name, capfd):
    data, [(_, y)] = TROUBLES[name].make()
    assert np.abs(listen(data).samples).max() <= 1.25 * np.abs(y).max()
