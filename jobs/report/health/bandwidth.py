"""Tracks whose spectrum ends early: upsampled ones, and lossless files made from lossy ones."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd

from jobs.report.health.finding import Finding, examples_of, kilohertz, numbers, worst

#: Column of where the spectrum breaks off.
CUTOFF = "cutoff_hz"

#: Sampling rates of old or cheap recordings [Hz]. 32 kHz is left out: its Nyquist frequency is
#: where encoders of MP3 cut.
_RATES = np.array([8_000, 11_025, 12_000, 16_000, 22_050, 24_000])

#: What music is upsampled from to the rates above 80 kHz [Hz].
_RATES_OF_DISCS = np.array([44_100, 48_000])
_HIGH_RATE = 80_000

#: Resamplers of soxr, SciPy and FFmpeg leave a cutoff of this share of the old Nyquist frequency.
_SHARES = (0.92, 1.08)

#: A rate that is not this much lower is the file's own: its filter for that rate is in between.
_MUCH_LOWER = 0.85

#: Highest rate from which a file of a lossy format can be told to be upsampled [Hz]. Encoders cut
#: higher frequencies themselves.
_HIGHEST_OF_LOSSY = 16_000

#: Encoders cut lower frequencies too if they may use few bits [bit/s of a channel].
_FEW_BITS = 24_000.0

#: Where encoders of MP3, AAC and Vorbis cut at usual bit rates [Hz].
_ENCODER_HZ = (14_500.0, 19_600.0)
_ENCODER_RATES = (44_100, 48_000)

_LOSSLESS = r"PCM|FLOAT|DOUBLE|ALAC|FLAC|WAVPACK|APE|TTA|DSD|TRUEHD|MLP|TAK|SHORTEN|WMALOSSLESS"


def original_rates(tracks: pd.DataFrame) -> np.ndarray:
    """Return the rate from which each track looks upsampled.

    Returns
    -------
    np.ndarray [shape=(n,), dtype=float64]
        Rates [Hz]; NaN for tracks that do not look upsampled.
    """
    cutoff, sr = numbers(tracks[CUTOFF]), numbers(tracks["sample_rate_hz"])
    found = np.full(len(tracks), np.nan)
    for rates, lowest_sr in ((_RATES, 0), (_RATES_OF_DISCS, _HIGH_RATE)):
        shares = cutoff[:, None] / (rates / 2)
        is_near = (shares >= _SHARES[0]) & (shares <= _SHARES[1])
        is_near &= (rates <= _MUCH_LOWER * sr[:, None]) & (sr[:, None] >= lowest_sr)
        distance = np.where(is_near, np.abs(shares - 0.97), np.inf)
        best = distance.argmin(axis=1)
        found = np.where(is_near.any(axis=1), rates[best], found)
    lossy = ~_is_lossless(tracks)
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = 8 * numbers(tracks["size_bytes"]) / numbers(tracks["duration_s"])
        has_few = bits / numbers(tracks["channels"]) < _FEW_BITS
        found[lossy & ((found > _HIGHEST_OF_LOSSY) | has_few)] = np.nan
    return found


def _is_lossless(tracks: pd.DataFrame) -> np.ndarray:
    names = tracks["subtype"].cat.categories
    lossless = [name for name in names if re.match(_LOSSLESS, name, re.IGNORECASE)]
    return tracks["subtype"].isin(lossless).to_numpy(bool)


def upsampled(tracks: pd.DataFrame) -> Iterator[Finding]:
    """Find tracks with nothing above the Nyquist frequency of a lower rate."""
    if CUTOFF not in tracks:
        yield Finding(
            "upsampled",
            "Upsampled tracks: not measured",
            "notice",
            0,
            len(tracks),
            [],
            "An earlier version of featurelib made this table, which did not measure where spectra"
            " end. A new table of the corpus has it.",
        )
        return
    rates = original_rates(tracks)
    rows = worst(tracks.assign(rate=rates), ~np.isnan(rates), -np.nan_to_num(rates))
    if len(rows):
        yield Finding(
            "upsampled",
            "Upsampled tracks",
            "problem",
            len(rows),
            len(tracks),
            examples_of(
                rows,
                lambda row: (
                    f"nothing above {kilohertz(row.cutoff_hz)} at {kilohertz(row.sample_rate_hz)}:"
                    f" as from {kilohertz(row.rate)}"
                ),
            ),
            "Get originals, or choose a sampling rate for all tracks that the worst of them has (sr"
            " in the spec). Otherwise a classifier learns who was upsampled.",
        )


def made_of_lossy(tracks: pd.DataFrame) -> Iterator[Finding]:
    """Find lossless files whose spectrum ends where lossy encoders cut it."""
    if CUTOFF not in tracks:
        return
    cutoff, sr = numbers(tracks[CUTOFF]), tracks["sample_rate_hz"]
    is_found = _is_lossless(tracks) & sr.isin(_ENCODER_RATES).to_numpy(bool)
    is_found &= (cutoff >= _ENCODER_HZ[0]) & (cutoff <= _ENCODER_HZ[1])
    rows = worst(tracks, is_found, -np.nan_to_num(cutoff))
    if len(rows):
        yield Finding(
            "made_of_lossy",
            "Lossless files that look made from lossy ones",
            "notice",
            len(rows),
            len(tracks),
            examples_of(
                rows, lambda row: f"nothing above {kilohertz(row.cutoff_hz)}, as in an MP3 file"
            ),
            "If one label has more of them than others, get originals or low-pass all tracks: the"
            " encoder's cut shows in the features of high frequencies.",
        )
