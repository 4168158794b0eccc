"""Progress display in notebooks, on terminals and elsewhere."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import types

from featurelib import progress


def test_a_notebook_shows_one_bar_that_is_updated(notebook):
    bar = progress.progress("extracting", 40)
    for _ in range(4):
        bar.advance(10)
    bar.stop()
    [shown] = notebook
    assert 'value="0" max="40"' in shown.texts[0]
    assert 'value="40" max="40"' in shown.texts[-1]
    assert "40 of 40 files" in shown.texts[-1]


def test_names_in_a_notebook_are_no_markup(notebook):
    bar = progress.NotebookBar("<b>", None)
    bar.advance(3, "<script>")
    bar.stop()
    assert "<b>" not in notebook[0].texts[-1]
    assert "&lt;script&gt;" in notebook[0].texts[-1]
    assert "3 files" in notebook[0].texts[-1]


def test_an_interpreter_without_a_kernel_is_no_notebook(notebook, monkeypatch):
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: types.SimpleNamespace())
    assert not progress.in_notebook()


def test_lines_where_there_is_no_terminal(capfd, monkeypatch):
    monkeypatch.setattr(progress, "_PLAIN_EVERY_S", 0.0)
    bar = progress.progress("extracting", 3)
    bar.advance(2)
    bar.stop()
    assert capfd.readouterr().err == "extracting: 3 files\nextracting: 2 of 3 files\n"


def test_a_terminal_gets_a_bar():
    code = (
        "from featurelib.progress import progress\n"
        "bar = progress('extracting', 3); bar.advance(3); bar.stop()"
    )
    leader, follower = pty.openpty()
    child = subprocess.Popen([sys.executable, "-c", code], stderr=follower, close_fds=True)
    os.close(follower)
    text = b""
    while True:
        try:
            part = os.read(leader, 4096)
        except OSError:  # the other end of the terminal is closed
            break
        if not part:
            break
        text += part
    os.close(leader)
    assert child.wait() == 0
    assert b"extracting" in text
    assert b"3/3" in text
