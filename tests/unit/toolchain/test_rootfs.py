"""What makes a root file system reproducible, and trusted by the machine that made it."""

from pathlib import Path

import pytest

from toolchain.errors import ToolchainError
from toolchain.rootfs import Release, clean, extra_certificates, host_ca_bundle, release_epoch, undate_shadow


def certificate(text: str) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----"


def test_only_certificates_that_debian_lacks_are_added() -> None:
    ours = f"# comment\n{certificate('AAAA')}\n{certificate('BB/+=')}\n"
    extra = extra_certificates(ours, certificate("AAAA"))
    assert list(extra.values()) == [certificate("BB/+=") + "\n"]
    assert all(name.startswith("host-") and name.endswith(".crt") for name in extra)
    assert extra_certificates(ours, ours) == {}


def test_day_of_the_password_is_that_of_the_epoch() -> None:
    shadow = "root:*:20412:0:99999:7:::\nbin:*:20410:0:99999:7:::\n"
    assert undate_shadow(shadow, epoch=86400 * 3 + 5) == "root:*:3:0:99999:7:::\nbin:*:3:0:99999:7:::\n"


def test_epoch_is_the_latest_release_date(tmp_path: Path) -> None:
    (tmp_path / "a_InRelease").write_text("Hash: SHA256\n\nDate: Thu, 01 Jan 1970 00:01:00 UTC\n")
    (tmp_path / "b_Release").write_text("Date: Thu, 01 Jan 1970 00:02:00 UTC\nDescription: Date: none\n")
    assert release_epoch(tmp_path) == 120


def test_archive_without_a_date_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a_InRelease").write_text("Suite: stable\n")
    with pytest.raises(ToolchainError, match="Release"):
        release_epoch(tmp_path)


def test_release_survives_being_saved(tmp_path: Path) -> None:
    release = Release(suite="trixie", epoch=86400)
    release.save(tmp_path / "release.json")
    assert Release.load(tmp_path / "release.json") == release
    assert release.created == "1970-01-02T00:00:00Z"


def test_clean_removes_what_the_host_and_the_day_left(tmp_path: Path) -> None:
    for name in ("etc/resolv.conf", "etc/shadow", "etc/passwd", "var/log/apt/term.log", "var/lib/apt/lists/x", "tmp/y"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("root:*:9:\n")
    clean(tmp_path, epoch=86400)
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert left == ["etc/machine-id", "etc/passwd", "etc/shadow"]
    assert (tmp_path / "etc/shadow").read_text() == "root:*:1:\n"
    assert (tmp_path / "var/log").is_dir()


def test_ca_bundle_of_the_environment_comes_first(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.touch()
    assert host_ca_bundle({"SSL_CERT_FILE": str(bundle)}) == bundle
    assert host_ca_bundle({"SSL_CERT_FILE": str(tmp_path / "absent")}) != tmp_path / "absent"
