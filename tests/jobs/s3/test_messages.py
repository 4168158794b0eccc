"""What users are told, and what nobody is told."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pyarrow.compute as pc
import pytest

import jobs.cli
from jobs.errors import EXIT_FAILED, EXIT_UNREAD, CorpusError, JobError
from jobs.execution.context import TaskContext
from tests.conftest import GATEWAY, S3
from tests.jobs.s3.place import (
    FIRST,
    Place,
    options_of,
    storage_options,
)
from tests.support import audio_files, driver, light
from tests.support.moments import at
from tests.support.s3_double import double


def told(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run the command; return its exit code and what it writes to standard error."""
    with pytest.raises(SystemExit) as ended:
        jobs.cli.main(["extract", *arguments, "--quiet"])
    output = capsys.readouterr()
    assert output.out == ""
    assert isinstance(ended.value.code, int)
    return ended.value.code, output.err


def assert_one_line(text: str, *parts: str) -> None:
    lines = text.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("featurelib: ")
    for part in parts:
        assert part in lines[0]


@pytest.fixture
def told_by(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    return lambda *arguments: told(*arguments, capsys=capsys)


def test_a_missing_bucket(place: Place, told_by: Callable[..., tuple[int, str]]) -> None:
    place.write(FIRST)
    here, options = f"s3://{place.bucket}", options_of(place.s3)
    code, text = told_by("s3://no-such-bucket-1/corpus", "-o", f"{here}/table", *options)
    assert code == EXIT_FAILED
    where = "s3://no-such-bucket-1"
    assert text == (
        f"featurelib: cannot find {where}/corpus (there is no such bucket): check the name\n"
    )
    assert place.parts() == {}
    code, text = told_by(f"{here}/corpus", "-o", "s3://no-such-bucket-1/table", *options)
    assert code == EXIT_FAILED
    assert text == (
        f"featurelib: cannot reach {where}/table (there is no such bucket): make it, or check its"
        " name\n"
    )
    code, text = told_by(f"{here}/empty", "-o", f"{here}/table", *options)
    assert code == EXIT_FAILED
    assert_one_line(text, f"{here}/empty", "no audio files")


@pytest.mark.skipif(not GATEWAY, reason="moto takes any credentials")
@pytest.mark.parametrize(
    ("key", "secret", "code"),
    [("", "wrongsecret", "SignatureDoesNotMatch"), ("wrongkey", "", "InvalidAccessKeyId")],
)
def test_wrong_credentials(
    place: Place, told_by: Callable[..., tuple[int, str]], key: str, secret: str, code: str
) -> None:
    place.write(FIRST)
    wrong = S3(place.s3.endpoint, key or place.s3.key, secret or place.s3.secret)
    here = f"s3://{place.bucket}"
    sides = [f"corpus:{option}" for option in storage_options(wrong)]
    options = [text for option in sides for text in ("--storage-option", option)]
    for table, given in ((f"{here}/table", options_of(wrong)), (str(place.folder / "t"), options)):
        exit_code, text = told_by(f"{here}/corpus", "-o", table, *given)
        assert exit_code == EXIT_FAILED
        assert_one_line(text, here, code, "AWS_ACCESS_KEY_ID")
        assert wrong.secret not in text


def test_no_credentials(
    place: Place, told_by: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", place.s3.endpoint)
    code, text = told_by(f"s3://{place.bucket}/corpus", "-o", str(place.folder / "t"))
    assert code == EXIT_FAILED
    assert_one_line(text, f"s3://{place.bucket}/corpus", "no AWS credentials", "anon=true")


@pytest.mark.parametrize("forbidden", ["list", "read", "write"])
def test_no_permission(
    place: Place, told_by: Callable[..., tuple[int, str]], forbidden: str
) -> None:
    place.write(FIRST)
    here = f"s3://{place.bucket}"

    def rule(method: str, path: str) -> int | None:
        is_listing = path.rstrip("/") == f"/{place.bucket}"
        denied = {
            "list": method == "GET" and is_listing,
            "read": method == "GET" and "/corpus/" in path,
            "write": method == "PUT",
        }
        return 403 if denied[forbidden] else None

    with double(place.s3, rule) as service:
        table = f"{here}/table" if forbidden == "write" else str(place.folder / "t")
        request = driver.request_for(
            f"{here}/corpus", table, storage_options=storage_options(service.s3)
        )
        with pytest.raises(JobError, match="AccessDenied") as caught:
            driver.run_inline(request)
    assert caught.value.exit_code == EXIT_FAILED
    assert "\n" not in str(caught.value)
    if forbidden == "read":  # is found out by the workers, who fail at every file
        assert isinstance(caught.value, CorpusError)
        assert "the first" in str(caught.value)
    else:
        assert here in str(caught.value)


@pytest.mark.slow
def test_archived_objects(place: Place) -> None:
    files = {f"cold/{i}.wav": f"play {i}" for i in range(4)}
    place.write(files)
    what = "403 <Code>InvalidObjectState</Code><StorageClass>GLACIER</StorageClass>"
    message = (
        "the object is archived (InvalidObjectState): restore it (aws s3api restore-object), then"
        " run again"
    )

    def rule(method: str, path: str) -> str | None:
        return what if method == "GET" and "/cold/" in path else None

    table = place.folder / "t"
    with double(place.s3, rule) as service:
        request = driver.request_for(
            f"s3://{place.bucket}/corpus", table, storage_options=storage_options(service.s3)
        )
        with pytest.raises(CorpusError) as caught:
            driver.run_inline(request)
        last = str(caught.value).partition(" stops: ")[2].partition(":")[0]
        assert str(caught.value) == (
            "the first 4 files could all not be read, so the run stops:"
            f" {last}: unreadable, {message}"
        )
        assert service.count(what) == 4  # nobody asks again
        place.write({"warm/a.wav": "play a"})
        report = driver.run_inline(request)
    assert report.exit_code == EXIT_UNREAD
    [row] = light.errors_table(table).filter(pc.field("path") == "cold/0.wav").to_pylist()
    assert (row["error_kind"], row["message"]) == ("unreadable", message)


@pytest.mark.parametrize("details", [True, False])
def test_a_clock_that_is_wrong(place: Place, details: bool, waits: list[float]) -> None:
    place.write(FIRST)
    what, clocks = "403 <Code>RequestTimeTooSkewed</Code>", "this machine's clock differs from S3's"
    if details:
        what += "<RequestTime>20260101T000000Z</RequestTime>"
        what += "<ServerTime>2026-11-26T08:00:00Z</ServerTime>"
        clocks = "this machine's clock says 20260101T000000Z, S3's 2026-11-26T08:00:00Z"
    with double(place.s3, lambda method, path: what) as service:
        request = driver.request_for(
            f"s3://{place.bucket}/corpus",
            place.folder / "t",
            storage_options=storage_options(service.s3),
        )
        with pytest.raises(CorpusError) as caught:
            driver.run_inline(request)
        assert service.count(what) == 3
    assert str(caught.value) == (
        f"cannot list s3://{place.bucket}/corpus: {clocks} (RequestTimeTooSkewed): set the clock"
        " of this machine (NTP)"
    )
    assert caught.value.exit_code == EXIT_FAILED


@pytest.mark.slow
def test_an_address_where_nothing_answers(
    place: Place, told_by: Callable[..., tuple[int, str]]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    nowhere = S3(f"http://127.0.0.1:{port}", place.s3.key, place.s3.secret)
    audio_files.make_corpus(place.folder / "audio", {"rock": 1})
    for corpus, table in (
        ("s3://bucket/corpus", str(place.folder / "t")),
        (str(place.folder / "audio"), "s3://bucket/table"),
        ("s3://bucket/corpus", "s3://bucket/table"),
        ("s3://bucket/list.txt", str(place.folder / "t")),
    ):
        code, text = told_by(corpus, "-o", table, *options_of(nowhere))
        assert code == EXIT_FAILED
        assert_one_line(text, "s3://bucket", nowhere.endpoint, "AWS_ENDPOINT_URL")


def test_credentials_that_look_like_numbers() -> None:
    options = ["key=123456", "secret=true", "client_kwargs.aws_session_token=7", "anon=false"]
    assert light.request("a", "b", storage_options=options).settings.options_for("table") == {
        "key": "123456",
        "secret": "true",
        "client_kwargs": {"aws_session_token": "7"},
        "anon": False,
    }


def test_secrets_stay_secret(
    place: Place, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write(FIRST)
    request = place.request()
    jobs_seen: list[TaskContext] = []
    extract_shard = jobs.execution.executor.extract_shard  # type: ignore[attr-defined]

    def seeing(job: TaskContext, shard: Any) -> Any:
        jobs_seen.append(job)
        return extract_shard(job, shard)

    monkeypatch.setattr("jobs.execution.executor.extract_shard", seeing)
    driver.run_inline(request)

    def fail() -> None:
        raise RuntimeError(f"unforeseen, with {place.s3.secret} in it")

    place.change()
    with pytest.raises(RuntimeError):
        driver.run_inline(request, at("part started", fail, 1))
    texts = [data.decode("latin-1") for data in place.contents("table").values()]
    assert sum('"status": "failed"' in text for text in texts) == 1
    assert sum("with *** in it" in text for text in texts) == 2  # the log and the summary
    assert jobs_seen
    assert jobs_seen[0].table_options["secret"] == place.s3.secret
    output = capfd.readouterr()
    texts += [output.out, output.err, *map(repr, jobs_seen), repr(request), repr(request.settings)]
    for text in texts:
        assert place.s3.key not in text
        assert place.s3.secret not in text
