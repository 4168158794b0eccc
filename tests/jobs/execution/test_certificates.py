"""The certificates of a cluster: how they are made, and which are refused."""

from __future__ import annotations

import itertools
import shutil
import ssl
import stat
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import distributed
import pytest

from featurelib import MissingExtraError
from jobs.errors import UsageError
from jobs.execution.clusters.address import security_for
from jobs.execution.clusters.certificates import write_certificates
from jobs.execution.clusters.tls import FILES, security_of
from jobs.settings import Settings
from tests.support.clusters import certificates


@pytest.fixture
def tls(tmp_path: Path) -> Path:
    return certificates(tmp_path / "tls")


def security(folder: Path) -> distributed.Security | None:
    return security_of(Settings(tls=str(folder)))


def test_only_their_owner_can_read_them(tls: Path) -> None:
    assert {path.name for path in tls.iterdir()} == set(FILES)
    assert stat.S_IMODE(tls.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in tls.iterdir()} == {0o600}


def test_the_key_of_the_authority_is_not_kept(tls: Path) -> None:
    texts = [path.read_text() for path in tls.iterdir()]
    assert sum("PRIVATE KEY" in text for text in texts) == 1
    with pytest.raises(ssl.SSLError, match="KEY_VALUES_MISMATCH"):
        ssl.create_default_context().load_cert_chain(tls / "ca.pem", tls / "key.pem")


def test_they_are_good_for_all_sides_and_for_no_plain_connection(tls: Path) -> None:
    found = security(tls)
    assert found is not None
    assert found.require_encryption
    for role in ("client", "scheduler", "worker"):
        assert found.get_connection_args(role)["ssl_context"].verify_mode == ssl.CERT_REQUIRED
        assert found.get_listen_args(role)["ssl_context"].verify_mode == ssl.CERT_REQUIRED


def test_when_they_expire(tmp_path: Path) -> None:
    expires = write_certificates(tmp_path / "tls", 10)
    assert abs(expires - datetime.now(UTC) - timedelta(days=10)) < timedelta(minutes=1)


def test_those_that_are_there_are_kept(tls: Path) -> None:
    before = {path.name: path.read_bytes() for path in tls.iterdir()}
    with pytest.raises(UsageError, match=r"has ca\.pem, cert\.pem, key\.pem already: .* --force"):
        write_certificates(tls, 30)
    assert {path.name: path.read_bytes() for path in tls.iterdir()} == before


def test_they_are_renewed_by_force(tls: Path) -> None:
    before = {path.name: path.read_bytes() for path in tls.iterdir()}
    write_certificates(tls, 30, force=True)
    after = {path.name: path.read_bytes() for path in tls.iterdir()}
    assert after.keys() == before.keys()
    assert not set(after.values()) & set(before.values())
    assert security(tls) is not None


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"cannot write certificates to .*: Not a directory; give"):
        write_certificates(tmp_path / "file" / "tls", 30)


def test_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'featurelib\[cluster\]'"):
        write_certificates(tmp_path / "tls", 30)
    assert not (tmp_path / "tls").exists()


@pytest.mark.parametrize("mixture", [*itertools.product(("mine", "other"), repeat=3)])
def test_files_of_two_clusters_are_refused(tmp_path: Path, mixture: tuple[str, ...]) -> None:
    for name in ("mine", "other"):
        certificates(tmp_path / name)
    folder = tmp_path / "mixture"
    folder.mkdir()
    for source, name in zip(mixture, FILES, strict=True):
        shutil.copy2(tmp_path / source / name, folder)
    if len(set(mixture)) == 1:
        assert security(folder) is not None
        return
    with pytest.raises(UsageError, match=r"the certificates in .* cannot be used: .* --force"):
        security(folder)


def test_expired_ones_are_refused(tmp_path: Path) -> None:
    write_certificates(tmp_path / "tls", 0)
    with pytest.raises(UsageError, match=r"cannot be used: certificate has expired; make new ones"):
        security(tmp_path / "tls")


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_not_there(tls: Path, name: str) -> None:
    (tls / name).unlink()
    with pytest.raises(UsageError) as caught:
        security(tls)
    assert str(caught.value) == (
        f"tls: {tls / name}: No such file or directory; copy the certificates of the cluster there,"
        f" or make new ones with featurelib cluster certificates {tls}, and copy them to every"
        " machine of the cluster"
    )


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_certificate(tls: Path, name: str) -> None:
    (tls / name).write_text("nothing")
    with pytest.raises(UsageError, match=r"the certificates in .* cannot be used: "):
        security(tls)


def test_a_key_that_everybody_can_read(tls: Path) -> None:
    (tls / "key.pem").chmod(0o644)
    with pytest.raises(UsageError, match=r"every user of this machine can read .*: chmod 600 "):
        security(tls)
    (tls / "key.pem").chmod(0o440)  # as Kubernetes gives it to a group
    assert security(tls) is not None


def test_an_address_without_tls(tls: Path) -> None:
    settings = Settings(cluster="tcp://127.0.0.1:8786", tls=str(tls))
    with pytest.raises(UsageError, match=r"is the address of a scheduler without TLS, and tls is"):
        security_for(settings)
