"""The command that draws one file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image

import featurelib
from jobs.cli import main
from tests.conftest import S3
from tests.jobs.s3.place import storage_options
from tests.support.audio_files import write_tone


@pytest.fixture
def song(tmp_path: Path) -> Path:
    write_tone(tmp_path / "song.wav", seconds=1.0)
    return tmp_path / "song.wav"


@pytest.fixture
def plot(capfd: pytest.CaptureFixture[str]):
    """Give a function that runs the command; returns exit code, output and errors."""

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["plot", *map(str, arguments)])
        said = capfd.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


def test_a_picture_is_written(song: Path, plot) -> None:
    target = song.with_name("song.png")
    code, out, err = plot(song, "--output", target, "--kind", "mel", "--kind", "waveform")
    assert (code, out, err) == (0, f"{target}: picture of {song}\n", "")
    with Image.open(target) as image:
        assert image.size == (1000, 570)
    assert sorted(path.name for path in song.parent.iterdir()) == ["song.png", "song.wav"]


def test_options_reach_the_picture_and_json_says_what_was_drawn(song: Path, plot) -> None:
    target = song.with_name("song.SVG")
    part = ("--offset", 0.25, "--duration", 0.5, "--sr", "native", "--width", 8, "--dpi", 72)
    twice = ("--kind", "stft", "--kind", "stft")
    code, out, _ = plot(song, "-o", target, *twice, "--colormap", "gray", *part, "--json")
    assert code == 0
    assert json.loads(out) == {"file": str(song), "output": str(target), "kinds": ["stft"]}
    text = target.read_text()
    assert 'width="576pt"' in text
    assert "0.5 s from 0.25 s" in text  # in a comment beside the outlines of the letters


def test_all_kinds_are_named_in_the_help(plot) -> None:
    _, out, _ = plot("--help")
    for name in featurelib.plot.KINDS:
        assert name in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--output", "song.jpg"], "song.jpg is no name of a picture: end it with .png, .svg"),
        (["--output", "song"], "song is no name of a picture"),
        (["--output", "-"], "the output is one complete file, not a stream"),
        (["--output", "."], ". is a folder: give a file, such as ./picture.png"),
        (["--output", "x.png", "--kind", "mell"], "no kind 'mell'; did you mean 'mel'?"),
        (["--output", "x.png", "--sr", "fast"], "--sr fast: give a whole number of Hz, or native"),
        (["--output", "x.png", "--sr", "5"], "sr=5 is not a whole number from 1000"),
        (["--output", "x.png", "--dpi", "0"], "dpi=0.0 must lie between 10 and"),
        (["--output", "x.png", "--duration", "-1"], "duration=-1.0 must be a number of seconds"),
        (["--output", "x.png", "--colormap", "x"], "there is no colour map 'x'"),
        (["--output", "x.png", "--kinds", "mel"], "no such option"),
        (["--output", "there.png"], "there.png exists: give another --output, or --force"),
        ([], "missing option '-o' / '--output'"),
    ],
)
def test_slips_are_usage_errors(
    arguments: list[str], said: str, song: Path, plot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(song.parent)
    Path("there.png").write_bytes(b"kept")
    code, _, err = plot("song.wav", *arguments)
    assert code == 2
    assert err.startswith("featurelib: ")
    assert said in err.lower() if not arguments else said in err
    assert err.count("\n") == 1
    assert sorted(os.listdir()) == ["song.wav", "there.png"]
    assert Path("there.png").read_bytes() == b"kept"


def test_files_that_cannot_be_drawn_say_why(tmp_path: Path, plot) -> None:
    (tmp_path / "text.wav").write_text("no audio")
    target = tmp_path / "x.png"
    for source, code, said in (
        (tmp_path / "text.wav", 1, "text.wav: undecodable, no audio that"),
        (tmp_path / "missing.wav", 1, "missing.wav: No such file or directory"),
        (tmp_path, 2, "is a folder: give one of its files"),
    ):
        found, _, err = plot(source, "--output", target)
        assert (found, said in err) == (code, True), err
        assert err.count("\n") == 1
    assert not target.exists()
    assert os.listdir(tmp_path) == ["text.wav"]


def test_force_replaces_and_a_failure_keeps_what_is_there(song: Path, plot) -> None:
    target = song.with_name("song.pdf")
    target.write_bytes(b"old")
    assert plot(song.with_name("none"), "-o", target, "--force")[0] == 1
    assert target.read_bytes() == b"old"
    assert plot(song, "-o", target, "--force", "--kind", "waveform")[0] == 0
    assert target.read_bytes().startswith(b"%PDF-")


def test_a_hostile_name_does_not_reach_the_terminal(song: Path, plot) -> None:
    hostile = song.with_name("a\x1b[31m$x\n.wav")
    song.rename(hostile)
    target = song.with_name("x.svg")
    code, out, err = plot(hostile, "-o", target, "--kind", "waveform")
    assert (code, err) == (0, "")
    assert "\x1b" not in out + target.read_text()
    assert out.count("\n") == 1


def test_a_picture_goes_to_a_url_too(song: Path, plot) -> None:
    target = song.with_name("url.png")
    assert plot(song, "-o", f"file://{target}", "--kind", "waveform")[0] == 0
    assert target.read_bytes().startswith(b"\x89PNG")


@pytest.fixture
def web(song: Path) -> Iterator[str]:
    """Address of a web server that gives a song to those who have signed the request."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = song.read_bytes() if self.path.endswith("?signature=good") else b""
            self.send_response(200 if data else 403)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_secrets_of_a_url_are_neither_drawn_nor_said(web: str, tmp_path: Path, plot) -> None:
    target = tmp_path / "x.svg"
    line = ("--output", target, "--kind", "waveform")
    code, out, err = plot(f"http://user:pa55@{web}/song.wav?signature=good", *line)
    assert code == 0, err
    assert "pa55" not in out + err + target.read_text()
    assert "<!-- song.wav -->" in target.read_text()
    code, out, err = plot(f"http://user:pa55@{web}/song.wav?signature=bad", *line, "--force")
    assert code == 1
    assert "403" in err
    assert "pa55" not in out + err
    figure = featurelib.plot.page(f"http://{web}/song.wav?signature=good", kinds="waveform")
    assert figure.get_suptitle().split("\n")[0] == "song.wav"


@pytest.mark.slow
def test_storage_options_are_for_the_file_and_the_picture(song: Path, plot, s3: S3) -> None:
    bucket = s3.bucket()
    s3.client.put_object(Bucket=bucket, Key="a b/song?1.wav", Body=song.read_bytes())
    options = [word for text in storage_options(s3) for word in ("--storage-option", text)]
    source, target = f"s3://{bucket}/a b/song?1.wav", f"s3://{bucket}/pictures/song.svg"
    code, _, err = plot(source, "-o", target, "--kind", "waveform", *options)
    assert code == 0, err
    text = s3.client.get_object(Bucket=bucket, Key="pictures/song.svg")["Body"].read().decode()
    assert "<!-- song?1.wav -->" in text
    code, _, err = plot(source + "x", "-o", "x.svg", "--kind", "waveform", *options)
    assert code == 1
    assert err.startswith(f"featurelib: cannot draw {source}x: ")


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_command_leaves_nothing(tmp_path: Path, number: int, code: int) -> None:
    write_tone(tmp_path / "long.wav", seconds=1800.0)
    program = "import sys; from jobs.cli import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "plot", "long.wav", "--output", "long.png"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    until = time.monotonic() + 60
    while not list(tmp_path.glob(".*.part")) and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert err.strip().startswith("featurelib: ")
    assert err.strip().count("\n") == 0
    assert os.listdir(tmp_path) == ["long.wav"]


@pytest.mark.slow
def test_the_users_matplotlibrc_does_not_change_the_picture(song: Path) -> None:
    program = "import sys; from jobs.cli import main; sys.exit(main())"
    target = song.with_name("song.png")
    (song.parent / "matplotlibrc").write_text("figure.facecolor: red\ntext.usetex: True\n")
    pictures = []
    for variables in ({}, {"MATPLOTLIBRC": str(song.parent), "MPLBACKEND": "qtagg"}):
        subprocess.run(
            [sys.executable, "-c", program, "plot", song, "-o", target, "--kind", "mfcc"],
            env={**os.environ, **variables},
            check=True,
        )
        pictures.append(target.read_bytes())
        target.unlink()
    assert pictures[0] == pictures[1]
