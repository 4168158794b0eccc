"""`ImageStyle`: everything that decides the pixels of an image."""

from __future__ import annotations

import difflib
import functools
import hashlib
import json
import math
from dataclasses import asdict, dataclass, field, fields
from numbers import Integral, Real
from typing import Any

import featurelib
from featurelib.extras import needing
from jobs.errors import UsageError
from jobs.settings import did_you_mean
from jobs.table.metadata import IMAGES, RecordedSpec
from jobs.table.schema import IMAGE, IMAGE_BYTES

#: Name of the series of which an image is made.
SERIES = "spectrogram_series"

#: Values for "no limit": the whole file, and all levels that there are.
ALL, AUTO = "all", "auto"

SCALES = ("mel", "linear")

#: Ways to treat a last segment that is shorter.
LASTS = ("pad", "drop", "keep")

_MAX_SIDE = 4096

#: Version of the way from a spectrogram to pixels. Raised when pixels change.
_VERSION = 1

#: Names of the styles, and the values in which they differ from the defaults of `ImageStyle`.
STYLES: dict[str, dict[str, Any]] = {
    "librosa": {},
    "tutorial": {
        "scale": "linear",
        "height": 256,
        "colormap": "inferno",
        "top_db": None,
        "duration": 5.0,
        "hop_length": 1920,
    },
}

#: Values that are the definition of the tutorial's images.
_OF_TUTORIAL = ("scale", "n_fft", "hop_length", "n_mels")

_COLUMNS = (
    (IMAGE, "string", "", "PNG file of the row, relative to the folder of the table"),
    (IMAGE_BYTES, "int64", "byte", "size of the PNG file"),
)


@dataclass(frozen=True, kw_only=True)
class ImageStyle:
    """Everything that decides the pixels of an image.

    The image is the mean power of a spectrogram over equal shares of time and of the frequency
    axis (`featurelib.Raster`), in dB below its largest value, in 256 colours. Time goes to the
    right, frequency upwards.

    Attributes
    ----------
    style : {"librosa", "tutorial"}
        Windows are centred, periodic and padded as in `librosa.stft`; or as in
        `matplotlib.pyplot.specgram`: not centred and symmetric, with power spectral densities.
    width, height : int
        Size of the image [pixels].
    colormap : str
        Name of one of matplotlib's colour maps.
    scale : {"mel", "linear"}
        Mel bands, or bins of the Fourier transform.
    top_db : float or None
        Range of the colours below the largest level [dB]. None: down to the smallest level.
    duration : float or None
        Duration from the beginning of each file [s]; None for all.
    segment : float or None
        Duration of each segment [s]; None for one image per file.
    last : {"pad", "drop", "keep"}
        A shorter last segment is padded with silence, left out, or drawn as wide as the others.
    sr : int
        Sampling rate to which signals are resampled [Hz].
    n_fft, hop_length : int
        Length of a frame, and distance between frames [samples].
    n_mels : int
        Number of mel bands.
    """

    style: str = "librosa"
    width: int = 256
    height: int = 128
    colormap: str = "magma"
    scale: str = "mel"
    top_db: float | None = 80.0
    duration: float | None = None
    segment: float | None = None
    last: str = "pad"
    sr: int = 22_050
    n_fft: int = 2048
    hop_length: int = 512
    n_mels: int = 128
    #: Red, green and blue of each of 256 colours, the lowest level first.
    palette: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            value = getattr(self, name)
            if not _is_whole(value) or not 1 <= value <= _MAX_SIDE:
                raise UsageError(f"{name} is {value!r}: give a number of pixels, 1 to {_MAX_SIDE}")
            object.__setattr__(self, name, int(value))
        for name, unit in (("top_db", "dB"), ("duration", "seconds"), ("segment", "seconds")):
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and 0 < value < math.inf):
                raise UsageError(f"{name} is {value!r}: give a number of {unit} above 0")
            if value is not None:  # 80 and 80.0 are one style; numbers of NumPy are no JSON
                object.__setattr__(self, name, float(value))
        for name, known in (("scale", SCALES), ("last", LASTS), ("style", tuple(STYLES))):
            if getattr(self, name) not in known:
                hint = did_you_mean(str(getattr(self, name)), known)
                raise UsageError(f"{name} is {getattr(self, name)!r}{hint}")
        for name in ("sr", "n_fft", "hop_length", "n_mels"):
            if _is_whole(value := getattr(self, name)):
                object.__setattr__(self, name, int(value))
        self.features  # noqa: B018 - checks the other values

    @functools.cached_property
    def features(self) -> featurelib.FeatureSpec:
        """The spec of the spectrogram.

        Raises
        ------
        featurelib.SpecError
            If values do not fit together.
        """
        entry: dict[str, Any] = {
            "family": "melspectrogram" if self.scale == "mel" else "stft",
            "as": SERIES.removesuffix("_series"),
            "statistics": ["series"],
            "n_fft": self.n_fft,
            "hop_length": self.hop_length,
        }
        if self.scale == "mel":
            entry["n_mels"] = self.n_mels
        if self.is_specgram:
            entry |= {"center": False, "fftbins": False}
        values: dict[str, Any] = {"name": self.style, "sr": self.sr, "features": [entry]}
        if self.duration is not None:
            values["duration"] = self.duration
        if self.segment is not None:
            values["level"] = {"length_s": self.segment, "last": self.last}
        return featurelib.FeatureSpec.from_dict(values)

    @property
    def is_specgram(self) -> bool:
        """Whether spectra are those of `matplotlib.pyplot.specgram`."""
        return self.style == "tutorial"

    @property
    def raster(self) -> featurelib.Raster:
        """The grid to which the spectrogram is reduced."""
        return featurelib.Raster(
            columns=self.width,
            rows=self.height,
            power=1 if self.scale == "mel" else 2,
            one_sided=self.is_specgram,
        )

    @functools.cached_property
    def fingerprint(self) -> str:
        """Hash of everything that can change pixels: 16 hex digits."""
        values = [_VERSION, self.features.fingerprint, asdict(self.raster), self.top_db]
        text = json.dumps([*values, self.palette.hex()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @functools.cached_property
    def columns(self) -> list[dict[str, str]]:
        """Descriptions of the columns of an image's row."""
        names = featurelib.SIGNAL_COLUMNS
        described = (asdict(column) for column in featurelib.describe(self.features))
        own = [
            {"name": name, "type": kind, "unit": unit, "definition": text, "librosa": "none"}
            for name, kind, unit, text in _COLUMNS
        ]
        return [column for column in described if column["name"] in names] + own

    def recorded(self) -> RecordedSpec:
        """Return the record of the style in a table."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "palette"}
        named = {"name": values.pop("style"), "kind": IMAGES, "version": _VERSION}
        return RecordedSpec({**named, **values}, self.fingerprint, self.columns)


def image_style(style: str = "librosa", **values: Any) -> ImageStyle:
    """Return a style by its name, with some values changed.

    Parameters
    ----------
    style : str
        One of `STYLES`.
    **values
        Values of `ImageStyle`; those that are None are the style's own. ``duration="all"`` and
        ``top_db="auto"`` are no limits.

    Raises
    ------
    UsageError
        If there is no such style, value or colour map.
    featurelib.SpecError
        If the values do not fit together.
    featurelib.MissingExtraError
        If matplotlib is not installed.
    """
    if style not in STYLES:
        raise UsageError(f"style is {style!r}{did_you_mean(str(style), STYLES)}")
    given = {name: value for name, value in values.items() if value is not None}
    known = [f.name for f in fields(ImageStyle) if f.name not in ("style", "palette")]
    for name in given:
        if name not in known:
            raise UsageError(f"there is no setting {name!r}{did_you_mean(name, known)}")
        if style == "tutorial" and name in _OF_TUTORIAL:
            raise UsageError(f"style is 'tutorial', which has its own {name}: leave {name} out")
    for name, word in (("duration", ALL), ("top_db", AUTO)):
        if given.get(name) == word:
            given[name] = None
    values = {**STYLES[style], **given}
    if values.get("scale") == "linear" and "n_mels" in given:
        raise UsageError("n_mels is of the mel scale, and scale is 'linear': leave one out")
    if "last" in given and values.get("segment") is None:
        raise UsageError("last is about segments, and there is no segment: give a segment")
    palette = _palette(values.get("colormap", ImageStyle.colormap))
    return ImageStyle(style=style, **values, palette=palette)


def _palette(colormap: Any) -> bytes:
    """Return the 256 colours of one of matplotlib's colour maps."""
    with needing("plot"):
        import matplotlib as mpl
        import numpy as np
    names = list(mpl.colormaps)
    if colormap not in names:
        close = difflib.get_close_matches(str(colormap), names, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "such as magma, viridis, gray"
        raise UsageError(f"colormap is {colormap!r}: matplotlib has no such map; {hint}")
    colors = mpl.colormaps[colormap](np.linspace(0, 1, 256), bytes=True)
    return colors[:, :3].tobytes()


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
