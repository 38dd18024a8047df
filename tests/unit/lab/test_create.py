"""A lab's directory: what is in it, and who may read it."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID
from sigstore.models import ClientTrustConfig, TrustedRoot

from dhallmark.errors import FormatError, UsageError
from dhallmark.lab.create import create_lab
from dhallmark.lab.model import DEFAULT_ISSUERS, Issuer, LabPaths, read_lab
from dhallmark.lab.session import make_token


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("create") / "lab"
    create_lab(path, hostname="lab", listen="0.0.0.0", authorities=("main", "other"))  # noqa: S104
    return path


def test_nobody_else_can_read_it(directory: Path) -> None:
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    for path in [*(directory / "keys").iterdir(), *(directory / "settings").glob("fulcio-*")]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_lab_json_has_no_secret_and_reads_back(directory: Path) -> None:
    lab = read_lab(directory)
    assert json.loads((directory / "lab.json").read_bytes())["schema"] == "dhallmark.dev/lab/v1"
    assert lab.hostname == "lab"
    assert (lab.registry, lab.registry_fallback) == ("lab:5000", "lab:5001")
    assert list(lab.authorities) == ["main", "other"]
    assert "PRIVATE" not in (directory / "lab.json").read_text()
    ports = [port for one in lab.authorities.values() for port in one.model_dump().values()]
    ports += lab.ports.model_dump().values()
    assert len(set(ports)) == len(ports)
    # The TSA's metrics take this one on all addresses, whatever it is told.
    assert 2112 not in ports


def test_the_authorities_have_nothing_in_common_but_log_and_timestamps(directory: Path) -> None:
    main, other = (
        json.loads((LabPaths(directory).trust(name) / "trusted_root.json").read_bytes()) for name in ("main", "other")
    )
    assert main["tlogs"] == other["tlogs"]
    assert main["timestampAuthorities"] == other["timestampAuthorities"]
    for key in ("certificateAuthorities", "ctlogs"):
        assert main[key] != other[key]


@pytest.mark.parametrize("authority", ["main", "other"])
def test_sigstore_reads_the_trust_files(directory: Path, authority: str) -> None:
    trust = LabPaths(directory).trust(authority)
    config = ClientTrustConfig.from_json((trust / "trust_config.json").read_text())
    assert config.signing_config.get_tsas()
    root = TrustedRoot.from_file(str(trust / "trusted_root.json"))
    assert len(root.get_fulcio_certs()) == 2
    body = json.loads((trust / "trust_config.json").read_bytes())
    assert body["trustedRoot"] == json.loads((trust / "trusted_root.json").read_bytes())
    assert body["signingConfig"] == json.loads((trust / "signing_config.json").read_bytes())
    # cosign compares the origin of Rekor's checkpoints with this host name, without its port.
    assert body["trustedRoot"]["tlogs"][0]["baseUrl"] == "http://lab:3003"


def test_certificates_have_the_usages_that_the_servers_ask_for(directory: Path) -> None:
    paths = LabPaths(directory)
    issuing, root = x509.load_pem_x509_certificates(paths.certificates("fulcio-main").read_bytes())
    issuing.verify_directly_issued_by(root)
    usage = issuing.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert list(usage.value) == [ExtendedKeyUsageOID.CODE_SIGNING]
    leaf, root = x509.load_pem_x509_certificates(paths.certificates("timestamp").read_bytes())
    leaf.verify_directly_issued_by(root)
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert usage.critical
    assert list(usage.value) == [ExtendedKeyUsageOID.TIME_STAMPING]
    tls = x509.load_pem_x509_certificates(paths.certificates("tls").read_bytes())[0]
    names = tls.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.DNSName)) == {issuer.host for issuer in DEFAULT_ISSUERS.values()}


def test_the_ca_key_is_encrypted(directory: Path) -> None:
    with pytest.raises(TypeError, match="encrypted"):
        load_pem_private_key(LabPaths(directory).key("fulcio-main").read_bytes(), password=None)


def test_tokens_are_signed_by_their_issuer_or_forged_on_request(directory: Path) -> None:
    github = load_pem_private_key(LabPaths(directory).key("issuer-github").read_bytes(), None).public_key()
    token = make_token(directory, "github")
    assert jwt.decode(token, github, algorithms=["RS256"], audience="sigstore")["repository"] == "acme/platform"  # type: ignore[arg-type]
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(make_token(directory, "github", signed_by="gitlab"), github, algorithms=["RS256"])  # type: ignore[arg-type]


@pytest.mark.parametrize("names", [("none", None), ("github", "none")])
def test_an_unknown_issuer_is_named(directory: Path, names: tuple[str, str | None]) -> None:
    with pytest.raises(UsageError, match="no issuer 'none' in this lab; issuers: github"):
        make_token(directory, names[0], signed_by=names[1])


def test_the_hosts_file_leads_every_name_to_this_machine(directory: Path) -> None:
    lines = LabPaths(directory).hosts.read_text().splitlines()
    assert {line.split()[0] for line in lines} == {"127.0.0.1"}
    assert {line.split()[1] for line in lines} >= {"lab", "token.actions.githubusercontent.com", "gitlab.com"}


def test_a_directory_with_other_content_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    with pytest.raises(UsageError, match="not empty"):
        create_lab(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("changes", [{"hostname": "no name"}, {"authorities": ()}, {"authorities": ("Bad Name",)}])
def test_a_bad_name_makes_no_lab(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="no lab can be made of this"):
        create_lab(tmp_path / "lab", **changes)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dhallmark.lab.create.write_lab", fail)
    with pytest.raises(OSError, match="No space"):
        create_lab(tmp_path / "lab")
    assert list(tmp_path.iterdir()) == []


def test_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lab.json").write_text('{"schema": "dhallmark.dev/lab/v9"}')
    with pytest.raises(FormatError, match="not a lab of format"):
        read_lab(tmp_path)
    with pytest.raises(UsageError, match="no lab in"):
        read_lab(tmp_path / "none")


@pytest.mark.parametrize("url", ["http://plain.test", "https://UPPER.test", "https://h.test/", "https://h.test/?q"])
def test_an_issuer_has_a_plain_https_url(url: str) -> None:
    with pytest.raises(ValueError, match="url"):
        Issuer(url=url, shape="github")
