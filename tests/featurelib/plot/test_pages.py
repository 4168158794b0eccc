"""Pages: every kind of every signal, complete and without warnings, whatever the file is called."""

from __future__ import annotations

import io
import subprocess
import sys
import warnings
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

import featurelib
from tests.featurelib.support.signals import SIGNALS, SR, chord, encode, noise, sine

PLOT = featurelib.plot
NOISE = noise(1.0)

ODD = {
    "silence": encode(np.zeros(SR, np.float32)),
    "constant": encode(np.full(SR, 0.25, np.float32)),
    "one sample": encode(np.full(1, 0.1, np.float32)),
    "100 samples": encode(NOISE[:100]),
    "cancelling": encode(np.stack((NOISE, -NOISE), axis=1)),
    "1 kHz": encode(noise(1.0, sr=1000), 1000),
    "8 kHz": encode(noise(1.0, sr=8000), 8000),
    "96 kHz": encode(noise(0.5, sr=96_000), 96_000),
    "enormous": encode(1e11 * NOISE),
    "faint": encode(1e-20 * NOISE),
}

HOSTILE = {
    "mathtext": "$\\frac{1}{0 $x_y^{",
    "control": "a\x1b[31m\x00\n\r\t\x07b",
    "markup": "<script>alert(1)</script> & ]]> -->",
    "foreign": "音楽 музыка موسيقى 🎵 \u202etxt.wav",
    "not UTF-8": "caf\udce9",
    "long": "W" * 5000,
}


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def content_of(figure, kind: str = "png") -> bytes:
    file = io.BytesIO()
    PLOT.save(figure, file, kind)
    return file.getvalue()


def is_complete(figure, kind: str = "png") -> bool:
    """Whether everything is inside of the page, once it is laid out."""
    content_of(figure, kind)
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    return min(box.x0, box.y0, width - box.x1, height - box.y1) >= 0


def texts_of(figure) -> str:
    return "\n".join(t.get_text() for ax in figure.axes for t in (ax.title, ax._right_title))


def test_a_page_has_all_kinds_and_units_on_all_axes():
    figure = PLOT.page(encode(chord(1.0)), dpi=50)
    assert len(figure.axes) == len(PLOT.KINDS) == 13
    assert is_complete(figure)
    for ax in figure.axes:
        assert "[" in ax.get_xlabel(), ax.get_title(loc="left")
        assert ax.get_ylabel()
    bars = [bar for ax in figure.axes for bar in ax.child_axes]
    assert len(bars) == 8
    assert sum("dB" in bar.get_ylabel() for bar in bars) == 7


def test_silence_is_drawn():
    assert is_complete(PLOT.page(ODD["silence"], dpi=50))


@pytest.mark.slow
@pytest.mark.parametrize("name", [*ODD, *SIGNALS])
def test_all_odd_files_and_signals_are_drawn(name):
    source = ODD[name] if name in ODD else encode(SIGNALS[name])
    assert is_complete(PLOT.page(source, sr=None, dpi=50))
    if name in ODD:
        assert is_complete(PLOT.page(source, dpi=50))


@pytest.mark.slow
@pytest.mark.parametrize("width", [12.0, 30.0])
def test_pages_of_any_width_are_complete(width):
    figure = PLOT.page(encode(noise(3.0)), width=width, dpi=50, title="x" * 500)
    assert is_complete(figure)


@pytest.mark.slow
def test_recordings_are_drawn(real_audio):
    digit = next(iter(sorted((real_audio / "digits").rglob("*.wav"))))
    music = next(iter(sorted((real_audio / "music").glob("*.ogg"))))
    for path, duration in ((digit, None), (music, 5.0)):
        assert is_complete(PLOT.page(path, duration=duration, dpi=50))


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_is_shown_as_plain_text(name):
    figure = PLOT.page(NOISE, sr=SR, kinds="waveform", title=HOSTILE[name])
    assert is_complete(figure, "pdf")
    shown = figure.get_suptitle().split("\n")
    assert len(shown) == 2
    assert shown[0].isprintable()
    assert ElementTree.fromstring(content_of(figure, "svg")).tag.endswith("svg")


def test_what_names_become():
    def shown(name: str) -> str:
        figure = PLOT.page(NOISE, sr=SR, kinds="waveform", title=name)
        return figure.get_suptitle().split("\n")[0]

    assert shown("été $5.wav") == "été $5.wav"
    assert shown("a\x1b[31mb") == "a\\x1b[31mb"
    assert shown("音") == "\\u97f3"
    long = shown("begin" + 1000 * "-" + "end.wav")
    assert long.startswith("begin-")
    assert long.endswith("-end.wav")
    assert "…" in long


def test_the_heading_tells_what_the_file_is(tmp_path):
    def heading(y, sr=SR, name="song.wav", **how) -> list[str]:
        path = tmp_path / name
        path.write_bytes(encode(y, sr))
        return PLOT.page(path, kinds="waveform", **how).get_suptitle().split("\n")

    assert heading(NOISE) == ["song.wav", "1 s · 22050 Hz"]
    stereo = np.stack((NOISE, NOISE), axis=1)
    text = heading(stereo, 44_100, offset=0.1, duration=0.2)[1]
    assert text == "0.2 s from 0.1 s · 44100 Hz · drawn at 22050 Hz · mean of 2 channels"
    assert heading(stereo * [1, -1])[1].endswith("the channels cancel each other")
    assert heading(0 * NOISE)[1].endswith("silent")


def test_reduction_is_said_and_only_where_there_is_any():
    short = PLOT.page(sine(1.0), sr=SR, kinds=["stft", "mfcc"])
    assert "each column" not in texts_of(short)
    sr = 8000
    long = PLOT.page(np.tile(sine(10.0, sr=sr), 20), sr=sr, kinds=["stft", "mfcc", "waveform"])
    assert "largest of 2 frames" in texts_of(long)
    assert "mean of 2 frames" in texts_of(long)
    assert "minimum to maximum of 512 samples" in texts_of(long)
    assert "min:s" in long.axes[0].get_xlabel()


@pytest.mark.parametrize("kind", PLOT.FORMATS)
def test_pictures_open_and_are_the_same_each_time(kind):
    def content() -> bytes:
        return content_of(PLOT.page(NOISE, sr=SR, kinds=["mel", "waveform"]), kind)

    found = content()
    assert found == content()
    if kind == "png":
        with Image.open(io.BytesIO(found)) as image:
            image.load()
            assert image.size == (1000, 570)
    elif kind == "svg":
        assert ElementTree.fromstring(found).tag == "{http://www.w3.org/2000/svg}svg"
        assert b"<dc:date>" not in found
    else:
        assert found.startswith(b"%PDF-")
        assert b"CreationDate" not in found


def test_axes_of_the_caller_are_drawn_in_and_pyplot_is_left_alone():
    import matplotlib.pyplot as plt
    from matplotlib.figure import Figure

    axes = Figure().subplots(2)
    for ax, function in zip(axes, (PLOT.mel, PLOT.waveform), strict=True):
        assert function(NOISE, SR, ax=ax) is ax
    assert plt.get_fignums() == []


def test_every_kind_has_its_function():
    for name in PLOT.KINDS:
        ax = getattr(PLOT, name)(NOISE[:5000], SR)
        assert ax.get_title(loc="left").startswith(PLOT.KINDS[name].title)


def test_a_notebook_shows_a_page():
    figure = PLOT.page(NOISE, sr=SR, kinds="waveform")
    with Image.open(io.BytesIO(figure._repr_png_())) as image:
        assert image.format == "PNG"


def test_the_colour_map_is_that_of_spectrograms():
    [mesh] = PLOT.mel(NOISE, SR, colormap="viridis").collections
    assert mesh.get_cmap().name == "viridis"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"kinds": "mell"}, "there is no kind 'mell'; did you mean 'mel'?"),
        ({"kinds": ["stft", "x"]}, "there is no kind 'x'"),
        ({"colormap": "magmaa"}, "there is no colour map 'magmaa'; did you mean 'magma'?"),
        ({"width": 2}, "width=2 must lie between 12 and 100 inches"),
        ({"width": float("nan")}, "width=nan"),
        ({"dpi": 1e6}, "dpi=1000000.0 must lie between 10 and"),
        ({"offset": -1}, "offset=-1"),
        ({"duration": 0}, "duration=0"),
        ({"sr": 10}, "sr=10"),
        ({"sr": None}, "sr=None is for files"),
    ],
)
def test_wrong_arguments_are_named(arguments, said):
    with pytest.raises(featurelib.ParameterError) as error:
        PLOT.page(NOISE, **{"sr": SR, **arguments})
    assert said in str(error.value)


def test_unusable_audio_is_an_audio_error():
    for source, kind in (
        (b"no audio", "undecodable"),
        (encode(np.empty(0, np.float32)), "empty"),
        (encode(np.array([0.1, np.nan], np.float32)), "not_finite"),
    ):
        with pytest.raises(featurelib.AudioError) as error:
            PLOT.page(source)
        assert error.value.kind == kind
    with pytest.raises(featurelib.AudioError, match="no samples"):
        PLOT.stft(np.empty(0, np.float32), SR)
    with pytest.raises(featurelib.ParameterError, match="y must be an array"):
        PLOT.stft("song.wav", SR)


def test_matplotlib_is_imported_when_it_is_used_and_may_be_missing():
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "import featurelib, numpy; featurelib.plot.KINDS\n"
        "try: featurelib.plot.page(numpy.zeros(10), sr=22050)\n"
        "except featurelib.MissingExtraError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "matplotlib is not installed: pip install 'featurelib[plot]'\n"


_PEAK = """\
import io, sys
import featurelib
from tests.support.memory import peak_bytes
figure = featurelib.plot.page(sys.argv[1], sr=None)
featurelib.plot.save(figure, io.BytesIO(), "png")
print(peak_bytes())
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length_of_a_file(tmp_path):
    import soundfile

    piece, sr = noise(60.0, sr=8000), 8000
    peaks = []
    for minutes in (1, 60, 240):  # after the first one, all functions are compiled
        path = tmp_path / f"{minutes}.flac"
        with soundfile.SoundFile(path, "w", sr, 1, format="FLAC") as file:
            for _ in range(minutes):
                file.write(piece)
        done = subprocess.run(
            [sys.executable, "-c", _PEAK, path], capture_output=True, text=True, check=True
        )
        peaks.append(int(done.stdout))
    # The samples alone of three more hours take 346 MB, their spectra 690 MB. The allocator makes
    # up to 40 MB of difference between two runs.
    assert abs(peaks[2] - peaks[1]) < 80e6, peaks
