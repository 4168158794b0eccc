"""What the tests of both packages share: recordings, small corpora, an S3 endpoint."""

from __future__ import annotations

import fcntl
import functools
import importlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import types
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import hypothesis
import pytest
from botocore.config import Config
from hypothesis import HealthCheck
from numba.core.caching import IndexDataCacheFile

from tests.support import audio_files, moto_server

GATEWAY = os.environ.get("FEATURELIB_TEST_S3_ENDPOINT")
"""A real gateway's address; without it the S3 tests start moto."""

_REGION = "us-east-1"

# No deadline, and no check of how quickly examples come: that is the machine's load. With few
# examples, chance makes many of them unfit.
for _profile, _n_examples in (("quick", 25), ("thorough", 200)):
    hypothesis.settings.register_profile(
        _profile,
        max_examples=_n_examples,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
hypothesis.settings.load_profile("quick")  # --hypothesis-profile names another


def _one_at_a_time(access: Callable[..., Any]) -> Callable[..., Any]:
    """Let one process at a time use the cache of compiled functions, librosa's among them.

    Two that save at once give two signatures the same file, and the next one crashes.
    """
    path = Path(tempfile.gettempdir(), f"featurelib-tests-{os.getuid()}.lock")

    @functools.wraps(access)
    def locked(*arguments: Any) -> Any:
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            return access(*arguments)

    return locked


IndexDataCacheFile.save = _one_at_a_time(IndexDataCacheFile.save)
IndexDataCacheFile.load = _one_at_a_time(IndexDataCacheFile.load)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # started in the background by a shell: the tests of Ctrl-C, and their processes, need it
    signal.signal(signal.SIGINT, signal.default_int_handler)

_MOTO = pytest.StashKey[tuple[subprocess.Popen[bytes], Path]]()


def _moto(config: pytest.Config) -> Path:
    """Start the session's moto server, unless it runs; return the file that gets its port."""
    if _MOTO not in config.stash:
        port_file = Path(tempfile.mkdtemp(prefix="featurelib-moto-")) / "port"
        config.stash[_MOTO] = (moto_server.start(port_file), port_file)
    return config.stash[_MOTO][1]


@functools.cache
def _compile_librosa() -> None:
    """Let librosa compile what it compiles when it is imported, before workers do so at once."""
    for module in ("core", "util", "feature", "sequence", "onset", "beat"):
        for name in dir(importlib.import_module(f"librosa.{module}")):
            getattr(sys.modules[f"librosa.{module}"], name)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist where the moto server is that all workers share."""
    _compile_librosa()
    if not GATEWAY:
        node.workerinput["moto_port_file"] = str(_moto(node.config))


def pytest_unconfigure(config: pytest.Config) -> None:
    if _MOTO in config.stash:
        server, port_file = config.stash[_MOTO]
        server.kill()
        server.communicate()
        shutil.rmtree(port_file.parent)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses S3, so that `make test-servers` can select just that."""
    for item in items:
        if "s3" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.servers)


@pytest.fixture(autouse=True, scope="session")
def aws_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Keep the user's own AWS settings and proxies out of the tests; give what was set."""
    nowhere = tmp_path_factory.mktemp("aws") / "none"
    before = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    with pytest.MonkeyPatch.context() as patch:
        for name in before:
            patch.delenv(name)
        patch.setenv("AWS_CONFIG_FILE", str(nowhere))
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(nowhere))
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("NO_PROXY", "127.0.0.1,localhost")
        yield before


@pytest.fixture(autouse=True, scope="session")
def compiled_kernels(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Compile the kernels in one worker of pytest-xdist, while the others wait for them."""
    if not hasattr(pytestconfig, "workerinput"):
        return
    import featurelib

    with (tmp_path_factory.getbasetemp().parent / "kernels.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        featurelib.warm_up("genre-v1")


@pytest.fixture(scope="session")
def real_audio() -> Path:
    """Give the folder of real recordings."""
    if not audio_files.REAL_AUDIO.is_dir():
        pytest.skip(f"no real recordings in {audio_files.REAL_AUDIO} (FEATURELIB_TEST_AUDIO)")
    return audio_files.REAL_AUDIO


@pytest.fixture
def corpus_maker(tmp_path: Path) -> Callable[..., Path]:
    """Give a function that writes a labelled corpus of tones and returns its folder.

    ``corpus_maker({"rock": 3, "01": 2}, name="corpus", suffixes=(".wav", ".ogg"))``; see
    `audio_files.make_corpus` for the rest.
    """

    def make(files: dict[str, int], *, name: str = "corpus", **kwargs: Any) -> Path:
        audio_files.make_corpus(tmp_path / name, files, **kwargs)
        return tmp_path / name

    return make


@dataclass
class S3:
    """An S3 endpoint, and the buckets made in it.

    Attributes
    ----------
    endpoint
        Its URL.
    key, secret
        The credentials.
    """

    endpoint: str
    key: str
    secret: str
    _buckets: list[str] = field(default_factory=list)

    @property
    def storage_options(self) -> dict[str, Any]:
        """What fsspec and s3fs want to be told."""
        return {
            "key": self.key,
            "secret": self.secret,
            "client_kwargs": {"endpoint_url": self.endpoint, "region_name": _REGION},
        }

    @property
    def env(self) -> dict[str, str]:
        """The same as environment variables."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_DEFAULT_REGION": _REGION,
        }

    @property
    def client(self) -> Any:
        """A boto3 client, to look at a bucket without the project's code."""
        return _client(self.endpoint, self.key, self.secret)

    def bucket(self) -> str:
        """Make an empty bucket and return its name; it goes when the test ends."""
        name = f"featurelib-test-{uuid.uuid4().hex}"
        self.client.create_bucket(Bucket=name)
        self._buckets.append(name)
        return name

    def remove_buckets(self) -> None:
        """Remove the buckets of `bucket` with all that is in them."""
        client = self.client
        for name in self._buckets:
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=name):
                for item in page.get("Contents", ()):
                    client.delete_object(Bucket=name, Key=item["Key"])
            for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=name):
                for item in page.get("Uploads", ()):
                    client.abort_multipart_upload(
                        Bucket=name, Key=item["Key"], UploadId=item["UploadId"]
                    )
            client.delete_bucket(Bucket=name)
        self._buckets.clear()


@functools.cache
def _client(endpoint: str, key: str, secret: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        region_name=_REGION,
        config=Config(
            s3={"addressing_style": "path"}, request_checksum_calculation="when_required"
        ),
    )


@pytest.fixture(scope="session", params=["gateway" if GATEWAY else "moto"])
def s3_endpoint(aws_environment: dict[str, str], pytestconfig: pytest.Config) -> S3:
    """Give the session's S3 endpoint: moto, or the real gateway."""
    if GATEWAY:
        key = aws_environment["AWS_ACCESS_KEY_ID"]
        return S3(GATEWAY, key, aws_environment["AWS_SECRET_ACCESS_KEY"])
    workerinput = getattr(pytestconfig, "workerinput", None)
    port_file = Path(workerinput["moto_port_file"]) if workerinput else _moto(pytestconfig)
    return S3(f"http://127.0.0.1:{moto_server.port(port_file)}", "testkey", "testsecret")


@pytest.fixture
def s3(s3_endpoint: S3) -> Iterator[S3]:
    """Give an S3 endpoint whose `S3.bucket` makes buckets for this test alone."""
    mine = S3(s3_endpoint.endpoint, s3_endpoint.key, s3_endpoint.secret)
    yield mine
    mine.remove_buckets()


class Shown:
    """Stands for what a notebook shows below a cell."""

    def __init__(self, text: str) -> None:
        self.texts = [text]

    def update(self, text: str) -> None:
        self.texts.append(text)


@pytest.fixture
def notebook(monkeypatch):
    """A process that looks like a notebook's kernel; what it shows."""
    redacted: list[Shown] = []

    def display(text: str, *, display_id: bool) -> Shown:
        assert display_id
        redacted.append(Shown(text))
        return redacted[-1]

    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: types.SimpleNamespace(kernel=object())  # type: ignore[attr-defined]
    module = types.ModuleType("IPython.display")
    module.HTML, module.display = str, display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    return redacted
