"""The table of troubles: what is heard of files as they should not be."""

from __future__ import annotations

import numpy as np
import pytest

from tests.featurelib.listening import listen, merged, rms, seconds
from tests.featurelib.troubles import TROUBLES


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
        assert rms(got[:half]) == pytest.approx(rms(y[:half]), rel=0.01)
        assert rms(got[-half:]) == pytest.approx(rms(y[-half:]), rel=0.01)
    lost_s = trouble.lost_s if trouble.whole_s is None else trouble.whole_s - seconds(right)
    if lost_s is None:
        assert facts.lost_s is None
    else:
        assert facts.lost_s == pytest.approx(lost_s, abs=trouble.within / right[0][0] + 1e-6)
