"""What a valid policy is warned of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dhallmark.config.load import load_policy
from dhallmark.config.policy import Origin, Policy
from dhallmark.config.review import Advice, review
from dhallmark.statement import COSIGN_SIGN_V1, SLSA_PROVENANCE_V1

ISSUER = "https://token.actions.githubusercontent.com"
WORKFLOW = r"https://github\.com/acme/platform/\.github/workflows/release\.yml"
SUBJECT = "https://github.com/acme/platform/.github/workflows/release.yml@refs/heads/main"
EXAMPLE = Path(__file__).parents[3] / "examples" / "platform" / "policy.yaml"


def advise(rule: dict[str, Any], folder: Path = Path(), *, meant: tuple[str, ...] = (), **more: object) -> list[Advice]:
    policy = Policy.model_validate(
        {
            "schemaVersion": 1,
            "identities": {"release": rule},
            "statements": [{"predicateType": COSIGN_SIGN_V1, "identities": ["release"]}],
            **more,
        }
    )
    return list(review(policy.read_from(Origin(folder=folder)), meant=meant))


def told(found: list[Advice]) -> set[str]:
    return {f"{one.field[-1]}: {one.message}" for one in found}


def test_the_example_is_warned_of_nothing() -> None:
    assert review(load_policy(EXAMPLE)) == ()


@pytest.mark.parametrize(
    "rule",
    [
        {"issuer": ISSUER, "subject": SUBJECT},
        {"issuer": ISSUER, "subjectRegExp": WORKFLOW + "@refs/heads/main"},
        {"issuer": ISSUER, "subjectRegExp": WORKFLOW + r"@refs/tags/v[0-9]+\.[0-9]+\.[0-9]+"},
        {"issuerRegExp": r"https://token\.actions\.githubusercontent\.com", "subject": SUBJECT},
        {"issuer": ISSUER, "subjectRegExp": r"release@acme\.example", "subjectKind": "email"},
        # Any commit by its spelling, and one of these by the extension.
        {
            "issuer": ISSUER,
            "subjectRegExp": WORKFLOW + "@[0-9a-f]{40}",
            "extensions": {"buildSignerDigest": ["ab" * 20]},
        },
        {"key": "release.pem"},
    ],
)
def test_who_is_told_exactly_is_warned_of_nothing(rule: dict[str, Any]) -> None:
    assert told(advise(rule)) == set()


LOOSE: list[tuple[dict[str, Any], str]] = [
    ({"subjectRegExp": WORKFLOW.replace(r"github\.com", "github.com") + "@x"}, "admits a dot that is not escaped"),
    ({"subjectRegExp": r"https://github\.com/acme/.*"}, "admits any repository of the owner"),
    ({"subjectRegExp": WORKFLOW + "@.*"}, "admits any ref and commit"),
    ({"subjectRegExp": WORKFLOW + "@[0-9a-f]{40}"}, "admits any commit, a fork's among them"),
    ({"subjectRegExp": WORKFLOW + "@refs/heads/main.*"}, "admits a ref whose name begins alike"),
    ({"subjectRegExp": ".*"}, "admits anybody"),
    ({"subjectRegExp": r".+@acme\.example", "subjectKind": "email"}, "admits another address"),
    ({"issuerRegExp": "https://token.actions.githubusercontent.com"}, "admits a dot that is not escaped"),
    ({"issuerRegExp": r"https://.*\.githubusercontent\.com"}, "admits another host"),
    ({"issuerRegExp": r"https?://token\.actions\.githubusercontent\.com"}, "admits an address without TLS"),
    ({"issuer": "http://issuer.example"}, "an issuer without TLS: whoever stands between can issue tokens"),
    ({"subject": SUBJECT.replace("heads/main", "pull/7/merge")}, "a pull request's ref: whoever may open one signs"),
]


@pytest.mark.parametrize(("rule", "message"), LOOSE)
def test_a_loose_identity_is_warned_of(rule: dict[str, Any], message: str) -> None:
    key = next(key for key in rule if key != "subjectKind")
    whole = dict(rule)
    if "issuer" not in key:
        whole["issuer"] = ISSUER
    else:
        whole["subject"] = SUBJECT
    (found,) = advise(whole)
    assert (found.field, found.message) == (("identities", "release", key), message)
    assert bool(found.example) == ("RegExp" in key)


def test_an_identity_that_is_known_to_be_good_shows_more() -> None:
    # Nothing of the expression's structure says that its owner is open.
    rule = {
        "issuer": ISSUER,
        "subjectRegExp": r"https://github\.com/(acme|ac[a-z-]+)/platform/.github/workflows/r.yml@x",
    }
    good = "https://github.com/acme/platform/.github/workflows/r.yml@x"
    assert "subjectRegExp: admits another owner" in told(advise(rule, meant=(good,)))


def test_weak_demands_are_warned_of() -> None:
    found = advise(
        {"issuer": ISSUER, "subject": SUBJECT},
        identities={"release": {"issuer": ISSUER, "subject": SUBJECT}, "spare": {"issuer": ISSUER, "subject": "x"}},
        evidence={"logEntries": 0, "timestamps": 1, "scts": 0},
        formats=["bundle", "legacy"],
        statements=[
            {"predicateType": COSIGN_SIGN_V1, "identities": ["release"], "subjects": "any", "allowUnnamed": True}
        ],
    )
    assert [".".join(map(str, one.field)) for one in found] == [
        *("identities.spare", "evidence.logEntries", "evidence.scts", "formats"),
        *("statements.0.allowUnnamed", "statements.0.subjects"),
    ]
    assert all(one.hint for one in found)


def test_a_git_bundle_that_is_not_there_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "there.bundle").touch()
    branches = ["refs/heads/main"]
    found = advise(
        {
            "issuer": ISSUER,
            "subject": SUBJECT,
            "reachable": {"buildSignerDigest": {"bundle": "gone.bundle", "branches": branches}},
        },
        tmp_path,
        statements=[{"predicateType": SLSA_PROVENANCE_V1, "identities": ["release"]}],
        source={"repository": "https://x", "reachable": {"bundle": "there.bundle", "branches": branches}},
        builders=["https://x"],
    )
    assert [one.field for one in found] == [("identities", "release", "reachable", "buildSignerDigest", "bundle")]
