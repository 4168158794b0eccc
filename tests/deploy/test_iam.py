"""The rights of deploy/iam-policy.json are enough for runs, and each is necessary.

A Ceph gateway of its own checks them, since that asks whoever owns a bucket who may do what.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.errors import JobError
from tests.conftest import S3
from tests.deploy.programs import needed
from tests.jobs.s3.place import storage_options
from tests.support import driver
from tests.support.driver import ROOT

POLICY = json.loads((ROOT / "deploy" / "iam-policy.json").read_text())
BUCKETS = ("CORPUS-BUCKET", "TABLE-BUCKET")
SERVERS = ROOT / "tests" / "servers"

Right = tuple[str, str]


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def rights() -> dict[Right, list[str]]:
    """Return the resources of each right, by the bucket and the action."""
    found: dict[Right, list[str]] = {}
    for statement in POLICY["Statement"]:
        assert statement["Effect"] == "Allow"
        for action in _listed(statement["Action"]):
            for resource in _listed(statement["Resource"]):
                bucket = resource.removeprefix("arn:aws:s3:::").partition("/")[0]
                found.setdefault((bucket, action), []).append(resource)
    return found


def test_the_policy_is_about_two_buckets_and_no_more_than_objects() -> None:
    assert {bucket for bucket, _ in rights()} == set(BUCKETS)
    actions = {action for _, action in rights()}
    assert actions == {"s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Start a Ceph gateway; give the folder of its state."""
    needed("radosgw")
    folder = tmp_path_factory.mktemp("gateway") / "rgw"
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        port, mon_port = (str(one.getsockname()[1]) for one in sockets)
    environment = {**os.environ, "PORT": port, "MON_PORT": mon_port}
    done = subprocess.run(
        [SERVERS / "rgw-up.sh", folder], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    yield folder
    subprocess.run([SERVERS / "rgw-down.sh", folder], check=True)


@pytest.fixture(scope="module")
def owner(gateway: Path) -> S3:
    """Give the user to whom the buckets belong."""
    [line] = [line for line in (gateway / "env").read_text().splitlines() if "S3_ENDPOINT" in line]
    return S3(line.partition("=")[2], "testkey", "testsecret")


@pytest.fixture(scope="module")
def runner(gateway: Path, owner: S3) -> S3:
    """Give a user without rights, who runs jobs."""
    line = ["radosgw-admin", "-c", gateway / "ceph.conf", "user", "create", "--uid=runner"]
    line += ["--display-name=runner", "--access-key=runner", "--secret-key=runnersecret"]
    subprocess.run(line, check=True, capture_output=True)
    return S3(owner.endpoint, "runner", "runnersecret")


def grant(owner: S3, names: dict[str, str], granted: dict[Right, list[str]]) -> None:
    """Let the owner of buckets give these rights, and no others."""
    for place, bucket in names.items():
        statements: list[dict[str, Any]] = [
            {
                "Effect": "Allow",
                "Principal": {"AWS": ["arn:aws:iam:::user/runner"]},
                "Action": [action],
                "Resource": [resource.replace(place, bucket) for resource in resources]
                + _also(action, bucket),
            }
            for (where, action), resources in granted.items()
            if where == place
        ]
        if statements:
            text = json.dumps({"Version": POLICY["Version"], "Statement": statements})
            owner.client.put_bucket_policy(Bucket=bucket, Policy=text)
        else:
            owner.client.delete_bucket_policy(Bucket=bucket)


def _also(action: str, bucket: str) -> list[str]:
    """Return what this gateway asks for beyond S3: it looks up deletions by the bucket's name."""
    return [f"arn:aws:s3:::{bucket}"] if action == "s3:DeleteObject" else []


def why_incomplete(owner: S3, runners: tuple[S3, S3], granted: dict[Right, list[str]]) -> str:
    """Make a table and update it; return why a file has no row, or nothing.

    Parameters
    ----------
    owner
        The owner of the buckets.
    runners
        Who makes the table, and who updates it.
    granted
        The rights of who is not the owner.
    """
    names = {place: owner.bucket() for place in BUCKETS}
    corpus, table = names.values()
    grant(owner, names, granted)
    first, second = {"rock/a": "play a", "pop/b": "play b"}, {"rock/a": "play c", "pop/b": ""}
    for runner, changes in zip(runners, (first, second), strict=True):
        for name, text in changes.items():
            key = f"music/{name}.wav"
            if text:
                owner.client.put_object(Bucket=corpus, Key=key, Body=text.encode())
            else:
                owner.client.delete_object(Bucket=corpus, Key=key)
        request = driver.request_for(
            f"s3://{corpus}/music",
            f"s3://{table}/music",
            labels="parent",
            buckets=2,
            max_deleted=1.0,
            storage_options=storage_options(runner),
        )
        try:
            report = driver.run_inline(request)
        except (JobError, OSError) as error:
            return str(error)
        if report.status != "done" or report.failures:
            return str(report.unread_line())
    return ""


@pytest.mark.programs
def test_the_rights_are_enough(owner: S3, runner: S3) -> None:
    assert why_incomplete(owner, (runner, runner), rights()) == ""
    assert why_incomplete(owner, (owner, runner), rights()) == ""


@pytest.mark.programs
@pytest.mark.parametrize("right", list(rights()), ids=" ".join)
def test_each_right_is_necessary(owner: S3, runner: S3, right: Right) -> None:
    """Also to read the table; of a table that the runner has made the gateway lets it read all."""
    granted = {other: resources for other, resources in rights().items() if other != right}
    assert "access denied" in why_incomplete(owner, (owner, runner), granted)
