"""The lab's own servers, asked for what they must not answer."""

from __future__ import annotations

import socket
import ssl

import pytest

from dhallmark.lab.session import Lab


def status(lab: Lab, *arguments: str) -> tuple[int, str]:
    """HTTP status and body."""
    done = lab.run(["curl", "-s", "--path-as-is", "-w", "\n%{http_code}", *arguments])
    body, _, code = done.stdout.rpartition("\n")
    return int(code), body


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://gitlab.com/.well-known/jwks", 200),
        ("https://gitlab.com/", 404),
        ("https://gitlab.com/other-enterprise/.well-known/jwks", 404),
        ("https://token.actions.githubusercontent.com/other-enterprise/.well-known/jwks", 200),
        ("https://token.actions.githubusercontent.com/third-enterprise/.well-known/jwks", 404),
    ],
)
def test_an_issuer_answers_for_its_own_name_and_path(lab: Lab, url: str, code: int) -> None:
    assert status(lab, url)[0] == code


def test_each_issuer_has_a_key_of_its_own(lab: Lab) -> None:
    keys = {status(lab, f"{issuer.url}/.well-known/jwks")[1] for issuer in lab.model.issuers.values()}
    assert len(keys) == len(lab.model.issuers)


def test_an_issuer_shows_a_certificate_of_the_labs_ca_for_its_name(lab: Lab) -> None:
    def subject(host: str) -> object:
        context = ssl.create_default_context(cafile=str(lab.paths.tls_ca))
        with socket.create_connection(("127.0.0.1", 443)) as plain, context.wrap_socket(plain, server_hostname=host):
            return host

    assert lab.call(subject, "gitlab.com") == "gitlab.com"
    with pytest.raises(ssl.SSLCertVerificationError):
        lab.call(subject, "example.com")


def test_a_silent_client_stops_no_other(lab: Lab) -> None:
    silent = lab.call(socket.create_connection, ("127.0.0.1", 443))
    with silent:
        assert status(lab, "--max-time", "5", "https://gitlab.com/.well-known/jwks")[0] == 200


def test_the_proxy_leads_to_issuers_only(lab: Lab) -> None:
    proxy = f"http://127.0.0.1:{lab.model.ports.proxy}"
    good = lab.run(["curl", "-s", "-x", proxy, "https://gitlab.com/.well-known/jwks"])
    assert '"kid"' in good.stdout
    refused = lab.run(["curl", "-sS", "-x", proxy, "https://example.com/"], check=False)
    assert "403" in refused.stderr


@pytest.mark.parametrize("path", ["/", "/jobs/none", "/jobs/../lab", "/jobs/%2e%2e", "/jobs/"])
def test_a_job_that_is_none_gets_no_token(lab: Lab, path: str) -> None:
    code, body = status(lab, "-H", "Authorization: bearer x", f"http://localhost:{lab.model.ports.tokens}{path}")
    assert (code, body) == (404, '{"message": "no such job"}')


@pytest.mark.parametrize("header", ["Authorization: bearer wrong", "Authorization: basic x", "Accept: */*"])
def test_a_job_without_its_bearer_gets_no_token(lab: Lab, header: str) -> None:
    url = lab.github_job()["ACTIONS_ID_TOKEN_REQUEST_URL"]
    assert status(lab, "-H", header, url) == (401, '{"message": "bad request token"}')


@pytest.mark.parametrize(
    ("authority", "body", "message"),
    [
        ("none", '{"chain": []}', "no such log"),
        ("main", "", "no such log, or no body"),
        ("main", "{", "Expecting property name"),
        ("main", "[]", "list indices"),
        ("main", "{}", "chain"),
        ("main", '{"chain": []}', "empty chain"),
        ("main", '{"chain": ["%%%"]}', "base64"),
        ("main", '{"chain": ["AAAA"]}', "not issued by"),
    ],
)
def test_the_ct_log_takes_no_nonsense(lab: Lab, authority: str, body: str, message: str) -> None:
    url = f"http://127.0.0.1:{lab.model.ports.ctlog}/{authority}/ct/v1/add-pre-chain"
    code, answer = status(lab, "-d", body, url)
    assert code == 400
    assert message in answer
