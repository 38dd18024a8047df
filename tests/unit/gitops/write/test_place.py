"""A repository in which people wrote things: found by what they are about, changed where they stand, never lost."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml
from tests.unit.gitops.test_tree import contents
from tests.unit.gitops.write.conftest import MakeChecks

from dhallmark.errors import InputError
from dhallmark.gitops.lint.lint import lint
from dhallmark.gitops.write.write import plan_consumers

MINE = dedent("""\
    # The platform. Ask in #platform before you touch it.
    apiVersion: source.toolkit.fluxcd.io/v1beta2
    kind: OCIRepository
    metadata:
      name: platform    # known as
      namespace: gitops
    spec:
      # often enough
      interval: 3m
      url: oci://REGISTRY.example/platform/prod/flux-acme
      ref:
        tag: latest     # moves
      secretRef: {name: pull}
    ---
    apiVersion: kustomize.toolkit.fluxcd.io/v1
    kind: Kustomization
    metadata: {name: platform, namespace: gitops}
    spec: {interval: 1h, prune: true, path: ./, sourceRef: {kind: OCIRepository, name: platform}}
    """)


def apply(make: MakeChecks, deploy: Path, *consumers: str, **more: Any) -> tuple[str, ...]:  # noqa: ANN401
    plan = plan_consumers([make(*consumers, **more)], deploy)
    plan.apply(deploy)
    assert plan_consumers([make(*consumers, **more)], deploy).placed.changes == ()
    return plan.placed.adopted


def test_a_source_is_found_by_its_url_and_changed_where_it_stands(make_checks: MakeChecks, deploy: Path) -> None:
    (deploy / "clusters/prod").mkdir(parents=True)
    file = deploy / "clusters/prod/platform.yaml"
    file.write_text(MINE)
    adopted = apply(make_checks, deploy, "flux")
    assert adopted == (
        "clusters/prod/platform.yaml: OCIRepository acme-prod",
        "clusters/prod/platform.yaml: Secret acme-prod-trusted-root",
    )
    # Somebody applies it already: a second source or Kustomization would deploy everything twice.
    assert not (deploy / "consumers").exists()
    source, kustomization, secret = yaml.safe_load_all(file.read_text())
    assert source["apiVersion"] == "source.toolkit.fluxcd.io/v1"
    assert source["metadata"] == {"name": "platform", "namespace": "gitops"}
    assert source["spec"]["ref"] == {"digest": make_checks("flux").manifests.digest}
    assert source["spec"]["verify"]["trustedRootSecretRef"] == {"name": secret["metadata"]["name"]}
    assert secret["metadata"]["namespace"] == "gitops"
    assert (source["spec"]["interval"], source["spec"]["secretRef"]) == ("3m", {"name": "pull"})
    assert kustomization["spec"]["interval"] == "1h"
    for comment in ("# The platform.", "# known as", "# often enough"):
        assert comment in file.read_text()
    assert lint(deploy).findings == ()


def test_the_next_release_changes_the_digest_alone(make_checks: MakeChecks, deploy: Path) -> None:
    apply(make_checks, deploy, "flux", "flux-helm", "flux-instance", "kyverno")
    before = contents(deploy)
    apply(make_checks, deploy, "flux", "flux-helm", "flux-instance", "kyverno", version="1.5.0")
    for path, content in contents(deploy).items():
        if not path.startswith("consumers/"):
            continue
        pairs = zip(before[path].decode().splitlines(), content.decode().splitlines(), strict=True)
        assert all("digest" in new or "ref: 1.5.0" in new for old, new in pairs if old != new), path


def test_what_people_changed_and_added_in_dhallmarks_files_stays(make_checks: MakeChecks, deploy: Path) -> None:
    apply(make_checks, deploy, "flux")
    file = deploy / "consumers/prod/flux/source.yaml"
    extra = "---\n# mine\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: mine}\n"
    file.write_text(file.read_text().replace("interval: 10m", "interval: 1h  # slower\n  suspend: false") + extra)
    apply(make_checks, deploy, "flux", version="1.5.0")
    text = file.read_text()
    assert "interval: 1h  # slower\n  suspend: false\n" in text
    assert text.endswith(extra)


def test_a_verification_that_somebody_loosened_is_put_right(make_checks: MakeChecks, deploy: Path) -> None:
    apply(make_checks, deploy, "flux")
    before = contents(deploy)
    file = deploy / "consumers/prod/flux/source.yaml"
    document = file.read_text()
    file.write_text(document.replace("    provider: cosign\n", "    provider: cosign\n    secretRef: {name: other}\n"))
    assert file.read_text() != document
    apply(make_checks, deploy, "flux")
    assert contents(deploy) == before


def test_two_sources_of_one_url_are_refused(make_checks: MakeChecks, deploy: Path) -> None:
    (deploy / "a.yaml").write_text(MINE)
    (deploy / "b.yaml").write_text(MINE.replace("name: platform", "name: bypass"))
    before = contents(deploy)
    with pytest.raises(InputError, match=r"2 objects are about .*a\.yaml:2, b\.yaml:2") as caught:
        apply(make_checks, deploy, "flux")
    assert "way past" in (caught.value.hint or "")
    assert contents(deploy) == before


def test_a_source_inside_another_object_is_left_to_people(make_checks: MakeChecks, deploy: Path) -> None:
    items = MINE.split("---")[0].replace("\n", "\n    ").rstrip()
    (deploy / "list.yaml").write_text(f"apiVersion: v1\nkind: List\nitems:\n  -\n    {items}\n")
    with pytest.raises(InputError, match="0 documents are the object") as caught:
        apply(make_checks, deploy, "flux")
    assert "by hand" in (caught.value.hint or "")


def test_an_instance_keeps_its_other_patches(make_checks: MakeChecks, deploy: Path) -> None:
    (deploy / "flux.yaml").write_text(
        dedent("""\
        apiVersion: fluxcd.controlplane.io/v1
        kind: FluxInstance
        metadata: {name: flux, namespace: flux-system}
        spec:
          distribution: {version: 2.x, registry: ghcr.io/fluxcd}
          sync:
            kind: OCIRepository
            url: oci://registry.example/platform/prod/flux-acme
            ref: latest
            path: ./
          kustomize:
            patches:
              # more memory
              - target: {kind: Deployment}
                patch: |
                  - {op: add, path: /x, value: 1}
        """)
    )
    apply(make_checks, deploy, "flux-instance")
    instance, _ = yaml.safe_load_all((deploy / "flux.yaml").read_text())
    deployment, verify = instance["spec"]["kustomize"]["patches"]
    assert deployment["target"] == {"kind": "Deployment"}
    assert "/spec/verify" in verify["patch"]
    assert "# more memory" in (deploy / "flux.yaml").read_text()
    assert lint(deploy).findings == ()
    apply(make_checks, deploy, "flux-instance", version="1.5.0")
    again, _ = yaml.safe_load_all((deploy / "flux.yaml").read_text())
    assert len(again["spec"]["kustomize"]["patches"]) == 2


def test_ksail_is_configured_where_it_reads(make_checks: MakeChecks, deploy: Path) -> None:
    (deploy / "ksail.prod.yaml").write_text(
        "apiVersion: ksail.io/v1alpha1\nkind: Cluster\nspec:\n  cluster:\n    gitOpsEngine: Flux # yes\n"
    )
    apply(make_checks, deploy, "ksail", root=None)
    text = (deploy / "ksail.prod.yaml").read_text()
    assert yaml.safe_load(text)["spec"]["workload"]["flux"]["verify"]["provider"] == "cosign"
    assert "gitOpsEngine: Flux # yes" in text
    assert not (deploy / "consumers").exists()


@pytest.mark.parametrize("path", ["docs/prod/identities.md", "verification/policy.yaml"])
def test_a_file_in_the_way_is_not_overwritten(make_checks: MakeChecks, deploy: Path, path: str) -> None:
    (deploy / path).parent.mkdir(parents=True)
    (deploy / path).write_text("mine\n")
    with pytest.raises(InputError, match="in the way"):
        apply(make_checks, deploy, "merge-check")
    assert contents(deploy) == {path: b"mine\n"}


def test_what_the_merge_check_verifies_by_follows_the_policy(make_checks: MakeChecks, deploy: Path) -> None:
    apply(make_checks, deploy, "merge-check")
    before = (deploy / "verification/policy.yaml").read_bytes()
    apply(make_checks, deploy, "merge-check", version="1.4.0", expires="2027-06-30T00:00:00Z")
    assert (deploy / "verification/policy.yaml").read_bytes() != before


@pytest.mark.parametrize("link", ["consumers", "consumers/prod/flux/source.yaml"])
def test_a_symlink_is_not_written_through(make_checks: MakeChecks, deploy: Path, tmp_path: Path, link: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (deploy / link).parent.mkdir(parents=True, exist_ok=True)
    (deploy / link).symlink_to(outside)
    with pytest.raises(InputError, match="symlink"):
        apply(make_checks, deploy, "flux")
    assert list(outside.iterdir()) == []


def test_the_deploy_tree_is_not_searched(make_checks: MakeChecks, deploy: Path) -> None:
    template = deploy / "environments/prod/charts/x/templates/s.yaml"
    template.parent.mkdir(parents=True)
    template.write_text(MINE)
    assert apply(make_checks, deploy, "flux") == ()
    assert template.read_text() == MINE
