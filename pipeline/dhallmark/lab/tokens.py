"""Tokens shaped like those of GitHub Actions and GitLab CI.

Sources: GitHub's "OpenID Connect reference" (claims of a job's token), GitLab's "ID token" page (token payload).
Claims that depend on others follow them: a token of another repository also names that repository's workflow.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Callable, Iterable, Mapping

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from dhallmark.lab.model import AUDIENCE, Issuer, LabPaths, Shape

Claims = dict[str, object]

_GITHUB_WORKFLOW = ".github/workflows/release.yml"
_LIFETIME = 300
"""Seconds; GitHub's tokens live five minutes."""


def make_claims(issuer: Issuer, *, claims: Mapping[str, object] | None = None, without: Iterable[str] = ()) -> Claims:
    """The payload of a token of `issuer` that is valid now.

    `claims` replaces or adds; a claim that others are derived from (GitHub: `repository`, `ref`, `sha`; GitLab:
    `project_path`, `ref`, `sha`) carries over to them. `without` removes claims at the end.
    """
    given = dict(claims or {})
    now = int(time.time())
    body: Claims = {"iss": issuer.url, "aud": AUDIENCE, "iat": now, "nbf": now, "exp": now + _LIFETIME}
    body |= {"jti": str(uuid.uuid4())} | _SHAPES[issuer.shape](issuer, given) | given
    for name in without:
        body.pop(name, None)
    return body


def sign_token(paths: LabPaths, *, key: str, claims: Mapping[str, object]) -> str:
    """A signed JWT (RS256). `key` is the name of the issuer whose key signs: the wrong one makes a forged token."""
    private = load_token_key(paths, key)
    # Signed as bytes: `jwt.encode` refuses claims of the wrong type, which a test may want.
    payload = json.dumps(dict(claims)).encode()
    return jwt.PyJWS().encode(payload, private, algorithm="RS256", headers={"typ": "JWT", "kid": key_id(private)})


def load_token_key(paths: LabPaths, issuer: str) -> rsa.RSAPrivateKey:
    """The key of an issuer, by the issuer's name in `lab.json`."""
    key = serialization.load_pem_private_key(paths.key(f"issuer-{issuer}").read_bytes(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError(f"issuer {issuer}: not an RSA key")
    return key


def key_id(key: rsa.RSAPrivateKey) -> str:
    """The `kid` under which the key set lists the key."""
    der = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()[:32]


def _sha(given: Mapping[str, object]) -> object:
    return given.get("sha", hashlib.sha1(b"dhallmark lab", usedforsecurity=False).hexdigest())


def _github(_issuer: Issuer, given: Mapping[str, object]) -> Claims:
    repository = str(given.get("repository", "acme/platform"))
    ref = str(given.get("ref", "refs/heads/main"))
    sha = _sha(given)
    workflow = f"{repository}/{_GITHUB_WORKFLOW}@{ref}"
    return {
        "sub": f"repo:{repository}:ref:{ref}",
        "repository": repository,
        "repository_id": "100200300",
        "repository_owner": repository.partition("/")[0],
        "repository_owner_id": "400500",
        "repository_visibility": "private",
        "ref": ref,
        "ref_type": "tag" if ref.startswith("refs/tags/") else "branch",
        "ref_protected": "true",
        "sha": sha,
        "event_name": "push",
        "actor": "octocat",
        "actor_id": "600700",
        "base_ref": "",
        "head_ref": "",
        "workflow": "release",
        "workflow_ref": workflow,
        "workflow_sha": sha,
        "job_workflow_ref": workflow,
        "job_workflow_sha": sha,
        "run_id": "7000000001",
        "run_number": "42",
        "run_attempt": "1",
        "runner_environment": "github-hosted",
    }


def _gitlab(issuer: Issuer, given: Mapping[str, object]) -> Claims:
    project = str(given.get("project_path", "acme/platform"))
    ref = str(given.get("ref", "main"))
    kind = str(given.get("ref_type", "branch"))
    ref_path = f"refs/{'heads' if kind == 'branch' else 'tags'}/{ref}"
    sha = _sha(given)
    return {
        "sub": f"project_path:{project}:ref_type:{kind}:ref:{ref}",
        "namespace_id": "72",
        "namespace_path": project.rpartition("/")[0],
        "project_id": "20",
        "project_path": project,
        "project_visibility": "private",
        "user_id": "1",
        "user_login": "sample-user",
        "user_email": "sample-user@example.com",
        "user_access_level": "maintainer",
        "pipeline_id": "574",
        "pipeline_source": "push",
        "job_id": "302",
        "ref": ref,
        "ref_type": kind,
        "ref_path": ref_path,
        "ref_protected": "true",
        "runner_id": 1,
        "runner_environment": "gitlab-hosted",
        "sha": sha,
        "ci_config_ref_uri": f"{issuer.host}/{project}//.gitlab-ci.yml@{ref_path}",
        "ci_config_sha": sha,
    }


def _email(_issuer: Issuer, given: Mapping[str, object]) -> Claims:
    return {"sub": "lab-user-1", "email": given.get("email", "someone@example.com"), "email_verified": True}


_SHAPES: dict[Shape, Callable[[Issuer, Mapping[str, object]], Claims]] = {
    "github": _github,
    "gitlab": _gitlab,
    "email": _email,
}
"""Maker of the claims of each `Shape`."""
