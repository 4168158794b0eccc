"""Audio decoding: from a file or bytes to samples, resampled and measured."""

from featurelib.audio.cutoff import CutoffMeter
from featurelib.audio.decoding import (
    BLOCK_SAMPLES,
    AudioFile,
    Blocks,
    DecodingFacts,
    MoreAudioError,
    check_rate,
    open_audio,
)
from featurelib.audio.libsndfile import check_library as check_decoders
from featurelib.audio.meter import (
    CLIP_LEVEL,
    MAX_SAMPLE,
    SILENCE_LEVEL,
    PeakFacts,
    PeakMeter,
    SignalFacts,
    SignalMeter,
    mix_down,
)
from featurelib.audio.pyav import ffmpeg_version
from featurelib.audio.resample import JoiningResampler, Resampler, resample
from featurelib.audio.tag_values import TAGS

__all__ = [
    "BLOCK_SAMPLES",
    "CLIP_LEVEL",
    "MAX_SAMPLE",
    "SILENCE_LEVEL",
    "TAGS",
    "AudioFile",
    "Blocks",
    "CutoffMeter",
    "DecodingFacts",
    "JoiningResampler",
    "MoreAudioError",
    "PeakFacts",
    "PeakMeter",
    "Resampler",
    "SignalFacts",
    "SignalMeter",
    "check_decoders",
    "check_rate",
    "ffmpeg_version",
    "mix_down",
    "open_audio",
    "resample",
]
