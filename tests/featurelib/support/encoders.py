"""Audio files of every supported format, encoded with soundfile or PyAV."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np

from tests.featurelib.support.signals import encode

#: Encoded with soundfile: name → format and subtype.
BY_LIBSNDFILE = {
    "wav16": ("WAV", "PCM_16"),
    "wav24": ("WAV", "PCM_24"),
    "wav_float": ("WAV", "FLOAT"),
    "wav_ima": ("WAV", "IMA_ADPCM"),
    "wav_ms": ("WAV", "MS_ADPCM"),
    "wav_ulaw": ("WAV", "ULAW"),
    "rf64": ("RF64", "PCM_16"),
    "w64": ("W64", "PCM_16"),
    "aiff": ("AIFF", "PCM_16"),
    "au": ("AU", "PCM_16"),
    "caf": ("CAF", "PCM_16"),
    "caf_alac": ("CAF", "ALAC_16"),
    "voc": ("VOC", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg_vorbis": ("OGG", "VORBIS"),
    "ogg_opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}

#: Encoded with PyAV: name → container, codec and sample format.
BY_FFMPEG = {
    "m4a_aac": ("mp4", "aac", "fltp"),
    "m4a_alac": ("mp4", "alac", "s16p"),
    "adts": ("adts", "aac", "fltp"),
    "wma": ("asf", "wmav2", "fltp"),
    "wavpack": ("wv", "wavpack", "s16p"),
    "tta": ("tta", "tta", "s16"),
    "ac3": ("ac3", "ac3", "fltp"),
    "eac3": ("eac3", "eac3", "fltp"),
    "mka_flac": ("matroska", "flac", "s16"),
    "webm_opus": ("webm", "libopus", "s16"),
    "ogg_flac": ("ogg", "flac", "s16"),
    "flac32": ("flac", "flac", "s32"),
    "wav_s64": ("wav", "pcm_s64le", "s64"),
    "mpegts_aac": ("mpegts", "aac", "fltp"),
    "flv_mp3": ("flv", "libmp3lame", "s16p"),
    "avi_pcm": ("avi", "pcm_s16le", "s16"),
    "mp2": ("mp2", "mp2", "s16"),
}

FORMATS = (*BY_LIBSNDFILE, *BY_FFMPEG)

#: Formats that preserve 16-bit samples.
LOSSLESS = frozenset(
    ("wav16", "wav24", "wav_float", "rf64", "w64", "aiff", "au", "caf", "caf_alac", "voc", "flac")
) | {"m4a_alac", "wavpack", "tta", "mka_flac", "ogg_flac", "wav_s64", "avi_pcm"}


def rate_of(name: str) -> int:
    """Sampling rate [Hz] for a format; Opus does not support 44 100 Hz."""
    return 48_000 if "opus" in name else 44_100


def on_grid(y: np.ndarray) -> np.ndarray:
    """Samples rounded to 16 bits."""
    steps = np.clip(np.round(y.astype(np.float64) * 2**15), -(2**15), 2**15 - 1)
    return (steps / 2**15).astype(np.float32) + np.float32(0)  # no -0


def made(name: str, y: np.ndarray) -> bytes:
    """Encode samples of shape (n,) or (n, channels), within ±1, in one of `FORMATS`."""
    if name in BY_LIBSNDFILE:
        fmt, subtype = BY_LIBSNDFILE[name]
        samples = on_grid(y)
        if subtype in ("PCM_16", "ALAC_16"):
            samples = (samples * 2**15).astype(np.int16)
        return encode(samples, rate_of(name), fmt=fmt, subtype=subtype)
    container, codec, sample_format = BY_FFMPEG[name]
    return encode_by_ffmpeg(y, rate_of(name), container, codec, sample_format)


def encode_by_ffmpeg(
    y: np.ndarray, sr: int, container: str, codec: str, sample_format: str, **options: str
) -> bytes:
    """Encode samples of shape (n,) or (n, channels) with PyAV; options go to the container."""
    samples = y.reshape(len(y), -1)
    layout = {1: "mono", 2: "stereo"}[samples.shape[1]]
    output = io.BytesIO()
    with av.open(output, "w", format=container, options=options) as file:
        stream = file.add_stream(codec, rate=sr)
        stream.codec_context.layout = layout
        stream.codec_context.format = sample_format
        stream.codec_context.bit_rate = 128_000
        stream.codec_context.open()
        step = stream.codec_context.frame_size or 1024
        for start in range(0, len(samples), step):
            frame = _frame(samples[start : start + step], sr, layout, sample_format)
            frame.pts, frame.time_base = start, Fraction(1, sr)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return output.getvalue()


def _frame(samples: np.ndarray, sr: int, layout: str, sample_format: str) -> av.AudioFrame:
    kind = sample_format.removesuffix("p")
    if kind == "flt":
        raw = samples.astype(np.float32)
    else:
        bits = int(kind[1:])
        dtype = {16: np.int16, 32: np.int32, 64: np.int64}[bits]
        raw = (on_grid(samples) * 2**15).astype(dtype) << dtype(bits - 16)
    planes = raw.T if sample_format.endswith("p") else raw.reshape(1, -1)
    frame = av.AudioFrame(format=sample_format, layout=layout, samples=len(samples))
    for plane, data in zip(frame.planes, planes, strict=True):
        plane.update(np.ascontiguousarray(data).tobytes().ljust(plane.buffer_size, b"\0"))
    frame.sample_rate = sr
    return frame
