"""What is written for each consumer: nothing that the linter would find, no key that is dropped, and nothing twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from tests.unit.controls.consumers.conftest import ISSUER, PUBLIC_KEY, RELEASE, SIGNATURE
from tests.unit.gitops.write.conftest import PROVENANCE, ROOT, MakeChecks

from dhallmark.config.gitops import Follower
from dhallmark.errors import InputError
from dhallmark.gitops.lint.fields import Flux
from dhallmark.gitops.lint.lint import lint
from dhallmark.gitops.write.write import plan_consumers
from dhallmark.kubernetes.crds import definitions_of

ALL = [one.value for one in Follower]
PUBLIC = json.dumps({**json.loads(ROOT), "certificateAuthorities": [{"uri": "https://fulcio.sigstore.dev"}]})
OTHER = {"issuer": ISSUER, "subject": "https://github.com/acme/platform/.github/workflows/hotfix.yml@refs/heads/main"}
GITLAB = {"issuer": "https://gitlab.com", "subject": "https://gitlab.com/acme/platform//.gitlab-ci.yml@refs/heads/main"}
PINNED = {
    "issuer": ISSUER,
    "subjectRegExp": r"https://github\.com/acme/flows/\.github/workflows/release\.yml@[0-9a-f]{40}",
    "extensions": {
        "buildSignerDigest": ["a" * 40, "b" * 40],
        "sourceRepositoryURI": "https://github.com/acme/platform",
    },
}


def written(make: MakeChecks, deploy: Path, *consumers: str, **parts: Any) -> dict[str, list[dict[str, Any]]]:  # noqa: ANN401
    """The objects in each file that is written for both environments."""
    checks = [make(*consumers, environment=environment, **parts) for environment in ("dev", "prod")]
    plan_consumers(checks, deploy).apply(deploy)
    return {
        path.relative_to(deploy).as_posix(): list(yaml.safe_load_all(path.read_text()))
        for path in deploy.rglob("*.yaml")
        if path.is_relative_to(deploy / "consumers")
    }


NAMES_NO_ROOT = ("ksail", "talos")
LINTED = [(one, PUBLIC, flux) for one in ALL for flux in Flux]
LINTED += [(one, ROOT, Flux.V2_9) for one in ALL if one not in NAMES_NO_ROOT]


@pytest.mark.parametrize(("consumer", "root", "flux"), LINTED)
def test_the_linter_finds_nothing_in_what_is_written(
    make_checks: MakeChecks, deploy: Path, consumer: str, root: str, flux: Flux
) -> None:
    written(make_checks, deploy, consumer, root=root)
    assert lint(deploy, flux=flux).findings == ()


@pytest.mark.parametrize("flux", list(Flux))
def test_what_flux_reads_is_valid_by_its_own_definitions(make_checks: MakeChecks, deploy: Path, flux: Flux) -> None:
    """With no key that an API server would drop: every mapping of known fields is closed."""
    schemas = {
        (one["spec"]["group"], version["name"], one["spec"]["names"]["kind"]): closed(version["schema"])
        for one in definitions_of(flux).objects
        for version in one["spec"]["versions"]
        if version["served"]
    }
    files = written(make_checks, deploy, "flux", "flux-helm", root=ROOT if flux is Flux.V2_9 else PUBLIC)
    kinds = set()
    for one in (one for objects in files.values() for one in objects if "fluxcd" in one["apiVersion"]):
        group, _, version = one["apiVersion"].partition("/")
        jsonschema.validate(one, schemas[group, version, one["kind"]])
        kinds.add(one["kind"])
    assert kinds == {"OCIRepository", "Kustomization", "HelmRelease"}


def closed(schema: Any) -> Any:  # noqa: ANN401 - a schema is JSON
    """A definition's schema under which a field that it does not know is an error."""
    schema = dict(schema.get("openAPIV3Schema", schema))
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            schema[key] = closed(schema[key])
    if "properties" in schema:
        schema["properties"] = {name: closed(inner) for name, inner in schema["properties"].items()}
        if schema["properties"] and not schema.get("x-kubernetes-preserve-unknown-fields"):
            if "metadata" in schema["properties"]:
                schema["properties"]["metadata"] = {"type": "object"}
            schema["additionalProperties"] = False
    return schema


@pytest.mark.parametrize("consumers", [ALL[:3], [*ALL[:3], "kyverno", "argo-cd", "merge-check"]])
def test_a_second_run_changes_nothing(make_checks: MakeChecks, deploy: Path, consumers: list[str]) -> None:
    checks = [make_checks(*consumers, environment=environment) for environment in ("dev", "prod")]
    first = plan_consumers(checks, deploy)
    first.apply(deploy)
    second = plan_consumers(checks, deploy)
    assert second.placed.changes == ()
    assert second.placed.unchanged == len(first.placed.changes)


def test_flux_fetches_by_digest_and_has_one_matcher_and_the_trust_root(make_checks: MakeChecks, deploy: Path) -> None:
    source, secret = written(make_checks, deploy, "flux")["consumers/prod/flux/source.yaml"]
    checks = make_checks("flux")
    assert source["spec"]["url"] == f"oci://{checks.manifests.repository}"
    assert source["spec"]["ref"] == {"digest": checks.manifests.digest}
    (matcher,) = source["spec"]["verify"]["matchOIDCIdentity"]
    assert all(text.startswith("^") and text.endswith("$") for text in matcher.values())
    assert source["spec"]["verify"]["trustedRootSecretRef"] == {"name": secret["metadata"]["name"]}
    assert secret["stringData"] == {"trusted_root.json": ROOT}
    assert secret["metadata"]["namespace"] == source["metadata"]["namespace"]


def test_the_public_instance_is_not_named(make_checks: MakeChecks, deploy: Path) -> None:
    (source,) = written(make_checks, deploy, "flux", root=PUBLIC)["consumers/prod/flux/source.yaml"]
    assert "trustedRootSecretRef" not in source["spec"]["verify"]


def test_layers_are_applied_in_their_order(make_checks: MakeChecks, deploy: Path) -> None:
    files = written(make_checks, deploy, "flux", "flux-helm")
    base, apps = files["consumers/prod/flux/kustomizations.yaml"]
    assert (base["spec"]["path"], apps["spec"]["path"]) == ("./base", "./apps")
    assert apps["spec"]["dependsOn"] == [{"name": base["metadata"]["name"]}]
    db, web = files["consumers/prod/flux-helm/releases.yaml"]
    assert "dependsOn" not in db["spec"]
    assert web["spec"]["dependsOn"] == [{"name": db["metadata"]["name"]}]
    assert web["spec"]["targetNamespace"] == "shop"


def test_charts_are_copied_out_of_their_layer_and_named_by_a_reference(make_checks: MakeChecks, deploy: Path) -> None:
    files = written(make_checks, deploy, "flux-helm")
    sources = {one["metadata"]["name"]: one for one in files["consumers/prod/flux-helm/sources.yaml"][:2]}
    for release in files["consumers/prod/flux-helm/releases.yaml"]:
        source = sources[release["spec"]["chartRef"]["name"]]
        assert source["spec"]["layerSelector"]["operation"] == "copy"
        assert source["spec"]["url"].endswith(f"/prod/{release['spec']['releaseName']}")


def test_keys_stand_in_a_secret(make_checks: MakeChecks, deploy: Path) -> None:
    parts = {"identities": {"release": {"key": "key.pem"}}, "evidence": {"logEntries": 0}}
    source, secret = written(make_checks, deploy, "flux", **parts)["consumers/prod/flux/source.yaml"]
    assert source["spec"]["verify"] == {"provider": "cosign", "secretRef": {"name": secret["metadata"]["name"]}}
    assert secret["stringData"] == {"0.pub": PUBLIC_KEY}


def test_the_patch_of_an_instance_pins_and_verifies_the_source_that_it_makes(
    make_checks: MakeChecks, deploy: Path
) -> None:
    instance, _ = written(make_checks, deploy, "flux-instance")["consumers/prod/flux-instance/instance.yaml"]
    (patch,) = instance["spec"]["kustomize"]["patches"]
    assert patch["target"] == {"kind": "OCIRepository", "name": "flux-system"}
    operations = {one["path"]: one["value"] for one in yaml.safe_load(patch["patch"])}
    assert operations["/spec/ref"] == {"digest": make_checks("flux-instance").manifests.digest}
    assert len(operations["/spec/verify"]["matchOIDCIdentity"]) == 1


def test_kyverno_is_asked_about_the_sources_of_the_release_alone(make_checks: MakeChecks, deploy: Path) -> None:
    (policy,) = written(make_checks, deploy, "kyverno")["consumers/prod/kyverno/policy.yaml"]
    spec = policy["spec"]
    assert spec["matchConstraints"]["resourceRules"][0]["resources"] == ["ocirepositories"]
    assert all("/prod/" in one["glob"] and "*" not in one["glob"][:-1] for one in spec["matchImageReferences"])
    assert [one["intoto"]["type"] for one in spec["attestations"]] == [PROVENANCE["predicateType"]]


def test_talos_is_told_exact_identities_or_one_expression(make_checks: MakeChecks, deploy: Path) -> None:
    (exact,) = written(make_checks, deploy, "talos", root=PUBLIC)["consumers/prod/talos/image-verification.yaml"]
    assert {tuple(rule["keyless"].items()) for rule in exact["rules"]} == {tuple(RELEASE.items())}
    both = {"identities": {"release": RELEASE, "other": OTHER}, "statements": [_by("release", "other"), PROVENANCE]}
    (joint,) = written(make_checks, deploy, "talos", root=PUBLIC, **both)[
        "consumers/prod/talos/image-verification.yaml"
    ]
    assert all(rule["keyless"]["subjectRegex"].startswith("^(?:") for rule in joint["rules"])


def _by(*names: str) -> dict[str, Any]:
    return {**SIGNATURE, "identities": list(names)}


REFUSED = [
    ("flux", {"identities": {"release": RELEASE, "other": GITLAB}, "statements": [_by("release", "other"), PROVENANCE]},
     "flux: 2 identities of different issuers"),
    ("flux", {"identities": {"release": RELEASE, "key": {"key": "key.pem"}},
              "statements": [_by("release", "key"), PROVENANCE]}, "flux: the key 'key' and other identities"),
    ("flux", {"identities": {"release": {"issuer": ISSUER, "subjectRegExp": "https://github\\.com/acme/f/w\\.yml@.+",
                                         "extensions": {"buildSignerDigest": "a" * 40}}}}, "any ref and commit"),
    ("kyverno", {"identities": {"release": {**PINNED, "extensions": {}, "reachable": {
        "buildSignerDigest": {"bundle": "w.bundle", "branches": ["refs/heads/main"]}}}}}, "any commit"),
    ("ksail", {}, "ksail: .*private Sigstore"),
    ("talos", {}, "talos: .*private Sigstore"),
    ("merge-check", {"statements": [SIGNATURE], "source": None, "builders": []}, "no deploy tree can fulfil"),
    ("argo-cd", {"identities": {"release": RELEASE, "other": OTHER},
                 "statements": [SIGNATURE, {**PROVENANCE, "identities": ["release", "other"], "threshold": 2}]},
     "no deploy tree can fulfil"),
]  # fmt: skip


@pytest.mark.parametrize(("consumer", "parts", "said"), REFUSED, ids=[f"{c}-{s[:12]}" for c, _, s in REFUSED])
def test_what_a_consumer_cannot_be_told_safely_is_refused_and_nothing_is_written(
    make_checks: MakeChecks, deploy: Path, consumer: str, parts: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said) as caught:
        written(make_checks, deploy, consumer, **parts)
    assert caught.value.hint
    assert list(deploy.iterdir()) == []


def test_listed_commits_stand_in_the_matcher_so_that_a_bump_changes_nothing(
    make_checks: MakeChecks, deploy: Path
) -> None:
    source, _ = written(make_checks, deploy, "flux", identities={"release": PINNED})["consumers/prod/flux/source.yaml"]
    (matcher,) = source["spec"]["verify"]["matchOIDCIdentity"]
    assert f"@(?:{'a' * 40}|{'b' * 40})" in matcher["subject"]
    assert "[0-9a-f]" not in matcher["subject"]


def test_a_trust_root_that_the_policy_does_not_accept_is_not_told(make_checks: MakeChecks) -> None:
    accepted = [{"digest": "sha256:" + "0" * 64, "confirmed": "2026-11-01T00:00:00Z"}]
    with pytest.raises(InputError, match="does not accept the trust root"):
        make_checks("flux", trustRoot={"accepted": accepted})


@pytest.mark.parametrize("key", ["repository", "image"])
def test_argo_cd_is_told_where_the_tree_is_and_what_to_run(make_checks: MakeChecks, deploy: Path, key: str) -> None:
    from tests.unit.gitops.write.conftest import CONFIG

    config = "".join(line for line in CONFIG.splitlines(keepends=True) if not line.startswith(f"  {key}: "))
    with pytest.raises(InputError, match="argo-cd: ") as caught:
        written(make_checks, deploy, "argo-cd", config=config)
    assert f"gitops.{key}" in (caught.value.hint or "")
