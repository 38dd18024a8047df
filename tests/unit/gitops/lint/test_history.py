"""The mistakes that people made by hand, each found by its rule where it stands; and a clean tree with no finding."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

from dhallmark.gitops.lint.fields import Flux
from dhallmark.gitops.lint.lint import lint
from dhallmark.gitops.lint.model import Severity

ISSUER = r"^https://token\.actions\.githubusercontent\.com$"
SUBJECT = r"^https://github\.com/acme/platform/\.github/workflows/release\.yaml@refs/heads/main$"
DIGEST = "sha256:" + "ab" * 32


def source(
    name: str = "platform", *, url: str = "oci://ghcr.io/acme/platform", spec: str = "", verify: str = ""
) -> str:
    """An OCIRepository by digest; `verify` and `spec` are lines below `spec`."""
    lines = [
        "apiVersion: source.toolkit.fluxcd.io/v1",
        "kind: OCIRepository",
        "metadata:",
        f"  name: {name}",
        "  namespace: flux-system",
        "spec:",
        "  interval: 5m",
        f"  url: {url}",
        "  ref:",
        f"    digest: {DIGEST}",
    ]
    for block in (spec, verify):
        lines += [f"  {line}" for line in dedent(block).strip().splitlines()]
    return "\n".join(lines) + "\n"


def matcher(*, issuer: str = ISSUER, subject: str = SUBJECT, provider: str = "cosign", times: int = 1) -> str:
    entries = f"\n    - issuer: '{issuer}'\n      subject: '{subject}'" * times
    return f"verify:\n  provider: {provider}\n  matchOIDCIdentity:{entries}"


GOOD = source(verify=matcher())


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """Files of a repository, and what must be found: rules with file and line."""

    name: str
    files: dict[str, str]
    found: tuple[str, ...]
    flux: Flux = Flux.V2_9


def _instance(patches: str, *, extra: str = "") -> str:
    head = dedent(
        """\
        apiVersion: fluxcd.controlplane.io/v1
        kind: FluxInstance
        metadata: {name: flux, namespace: flux-system}
        spec:
          distribution: {version: 2.x, registry: ghcr.io/fluxcd}
          sync:
            kind: OCIRepository
            url: oci://ghcr.io/acme/platform
            ref: latest
            path: ./
        """
    )
    return head + extra + (f"  kustomize:\n    patches:\n{patches}" if patches else "")


_ADD = f"""\
      - target: {{kind: OCIRepository, name: flux-system}}
        patch: |
          - op: add
            path: /spec/verify
            value:
              provider: cosign
              matchOIDCIdentity:
                - issuer: '{ISSUER}'
                  subject: '{SUBJECT}'
"""
_REMOVE = """\
      - target: {kind: OCIRepository, name: flux-system}
        patch: |
          - op: remove
            path: /spec/verify
"""

MISTAKES = [
    Mistake(name="no verify", files={"a.yaml": source()}, found=("source.unverified a.yaml:6",)),
    Mistake(
        name="no verify in the second document",
        files={"a.yaml": GOOD + "---\n" + source("other", url="oci://ghcr.io/acme/other")},
        found=("source.unverified a.yaml:22",),
    ),
    Mistake(
        name="no verify in a list",
        files={"a.yaml": "apiVersion: v1\nkind: List\nitems:\n- " + source().replace("\n", "\n  ").rstrip() + "\n"},
        found=("source.unverified a.yaml:9",),
    ),
    Mistake(
        name="no verify in a template",
        files={"t.yaml": "{{- if .Values.on }}\n" + source(spec="timeout: {{ .Values.timeout }}") + "{{- end }}\n"},
        found=("source.unverified t.yaml:7",),
    ),
    Mistake(
        name="no verify in a file of a ConfigMap",
        files={
            "a.yaml": "apiVersion: v1\nkind: ConfigMap\ndata:\n  x.yaml: |\n    "
            + source().replace("\n", "\n    ").rstrip()
            + "\n"
        },
        found=("source.unverified a.yaml:10",),
    ),
    Mistake(
        name="verify at a key that is not read",
        files={"a.yaml": source() + matcher() + "\n"},
        found=("key.unknown a.yaml:11", "source.unverified a.yaml:6"),
    ),
    Mistake(
        name="a misspelt key in verify",
        files={"a.yaml": source(verify=matcher().replace("matchOIDCIdentity", "matchOidcIdentity"))},
        found=("key.unknown a.yaml:13", "verify.no-matcher a.yaml:11"),
    ),
    Mistake(
        name="a trusted root where Flux has none",
        files={"a.yaml": source(verify=matcher() + "\n  trustedRootSecretRef:\n    name: root")},
        found=("key.unknown a.yaml:16",),
        flux=Flux.V2_8,
    ),
    Mistake(
        name="two matchers",
        files={"a.yaml": source(verify=matcher(times=2))},
        found=("verify.two-matchers a.yaml:13",),
    ),
    Mistake(
        name="no matcher",
        files={"a.yaml": source(verify="verify:\n  provider: cosign")},
        found=("verify.no-matcher a.yaml:11",),
    ),
    Mistake(
        name="a blank provider",
        files={"a.yaml": source(verify=matcher(provider='""'))},
        found=("verify.provider a.yaml:12",),
    ),
    Mistake(
        name="another provider",
        files={"a.yaml": source(verify="verify:\n  provider: sigstore\n  secretRef: {name: key}")},
        found=("verify.provider a.yaml:12",),
    ),
    Mistake(
        name="a key and identities",
        files={"a.yaml": source(verify=matcher() + "\n  secretRef:\n    name: key")},
        found=("verify.key-wins a.yaml:16",),
    ),
    Mistake(
        name="an unanchored subject",
        files={"a.yaml": source(verify=matcher(subject=r"https://github\.com/acme/platform"))},
        found=("verify.regex-any-commit a.yaml:15", "verify.regex-loose a.yaml:15"),
    ),
    Mistake(
        name="any commit of the workflow",
        files={"a.yaml": source(verify=matcher(subject=SUBJECT.replace("refs/heads/main", "[0-9a-f]{40}")))},
        found=("verify.regex-any-commit a.yaml:15",),
    ),
    Mistake(
        name="any ref of the workflow",
        files={"a.yaml": source(verify=matcher(subject=SUBJECT.replace("refs/heads/main", ".+")))},
        found=("verify.regex-any-commit a.yaml:15",),
    ),
    Mistake(
        name="one commit of the workflow",
        files={"a.yaml": source(verify=matcher(subject=SUBJECT.replace("refs/heads/main", "ab" * 20)))},
        found=("verify.regex-one-commit a.yaml:15",),
    ),
    Mistake(
        name="an expression that RE2 cannot compile",
        files={"a.yaml": source(verify=matcher(subject="^(?!evil).*$"))},
        found=("verify.regex-invalid a.yaml:15",),
    ),
    Mistake(
        name="a loose issuer",
        files={"a.yaml": source(verify=matcher(issuer="https://token.actions.githubusercontent.com"))},
        found=("verify.regex-loose a.yaml:14",),
    ),
    Mistake(
        name="a second, unverified source of one URL",
        files={"a.yaml": GOOD, "b/c.yaml": source("bypass", url="oci://GHCR.io/acme/platform:latest")},
        found=("source.mixed b/c.yaml:8", "source.unverified b/c.yaml:6"),
    ),
    Mistake(
        name="a second source that checks something else",
        files={
            "a.yaml": GOOD,
            "b.yaml": source("other", verify=matcher(subject=SUBJECT.replace("release", "other"))),
        },
        found=("source.second b.yaml:11",),
    ),
    Mistake(
        name="a patch with another target",
        files={
            "base/source.yaml": source(),
            "kustomization.yaml": "resources: [base/source.yaml]\npatches:\n"
            "- target: {kind: OCIRepository, name: platfrom}\n  path: verify.yaml\n",
            "verify.yaml": "- op: add\n  path: /spec/verify\n  value: {provider: cosign, secretRef: {name: k}}\n",
        },
        found=("patch.misses kustomization.yaml:3", "source.unverified base/source.yaml:6"),
    ),
    Mistake(
        name="a patch that undoes an earlier one",
        files={
            "base/source.yaml": GOOD,
            "base/kustomization.yaml": "kind: Kustomization\nresources: [source.yaml]\n",
            "prod/kustomization.yaml": "resources: [../base]\npatches:\n- target: {kind: OCIRepository}\n"
            "  patch: |\n    - {op: remove, path: /spec/verify}\n",
        },
        found=("patch.undone prod/kustomization.yaml:5", "source.unverified base/source.yaml:6"),
    ),
    Mistake(
        name="a strategic patch that nulls it",
        files={
            "source.yaml": GOOD,
            "kustomization.yaml": "resources: [source.yaml]\npatchesStrategicMerge: [null.yaml]\n",
            "null.yaml": "apiVersion: source.toolkit.fluxcd.io/v1\nkind: OCIRepository\n"
            "metadata: {name: platform, namespace: flux-system}\nspec: {verify: null}\n",
        },
        found=("patch.undone null.yaml:1", "source.unverified source.yaml:6"),
    ),
    Mistake(
        name="a patch that cannot be read",
        files={
            "source.yaml": GOOD,
            "kustomization.yaml": "resources: [source.yaml]\npatches:\n- target: {kind: OCIRepository}\n  patch: '{'\n",
        },
        found=("patch.unreadable kustomization.yaml:4",),
    ),
    Mistake(
        name="an instance without a patch",
        files={"f.yaml": _instance("")},
        found=("source.unverified f.yaml:8",),
    ),
    Mistake(
        name="an instance with verify where it is not read",
        files={"f.yaml": _instance("").replace("    path: ./\n", "    path: ./\n    verify: {provider: cosign}\n")},
        found=("key.unknown f.yaml:11", "source.unverified f.yaml:8"),
    ),
    Mistake(
        name="an instance whose patch misses",
        files={"f.yaml": _instance(_ADD.replace("name: flux-system", "name: flux"))},
        found=("patch.misses f.yaml:13", "source.unverified f.yaml:8"),
    ),
    Mistake(
        name="an instance whose second patch undoes the first",
        files={"f.yaml": _instance(_ADD + _REMOVE)},
        found=("patch.undone f.yaml:24", "source.unverified f.yaml:8"),
    ),
    Mistake(
        name="an instance with two matchers",
        files={
            "f.yaml": _instance(
                _ADD + f"                - issuer: '{ISSUER}'\n                  subject: '{SUBJECT}'\n"
            )
        },
        found=("verify.two-matchers f.yaml:19",),
    ),
    Mistake(
        name="an instance made by its chart, without a patch",
        files={
            "h.yaml": "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: flux}\nspec:\n"
            "  chartRef: {kind: OCIRepository, name: flux}\n  values:\n    instance:\n      sync:\n"
            "        kind: OCIRepository\n        url: oci://ghcr.io/acme/platform\n"
        },
        found=("source.unverified h.yaml:10",),
    ),
    Mistake(
        name="KSail's verify at another place",
        files={
            "ksail.yaml": "apiVersion: ksail.io/v1alpha1\nkind: Cluster\nspec:\n  cluster: {gitOpsEngine: Flux}\n"
            "  verify: {provider: cosign, matchOIDCIdentity: []}\n"
        },
        found=("key.unknown ksail.yaml:5", "source.unverified ksail.yaml:3"),
    ),
    Mistake(
        name="a tag that moves",
        files={"a.yaml": GOOD.replace(f"digest: {DIGEST}", "tag: latest")},
        found=("source.floating a.yaml:9",),
    ),
    Mistake(
        name="a range of versions",
        files={"a.yaml": GOOD.replace(f"digest: {DIGEST}", 'semver: ">=1.0.0"')},
        found=("source.floating a.yaml:9",),
    ),
    Mistake(
        name="a tag alone",
        files={"a.yaml": GOOD.replace(f"digest: {DIGEST}", "tag: 1.2.3")},
        found=("source.tag a.yaml:9",),
    ),
    Mistake(
        name="plain HTTP",
        files={"a.yaml": source(spec="insecure: true", verify=matcher())},
        found=("source.plain-http a.yaml:11",),
    ),
    Mistake(
        name="a duplicate key",
        files={"a.yaml": source(verify=matcher() + "\n" + matcher(subject=".*"))},
        found=("key.duplicate a.yaml:16", "verify.regex-loose a.yaml:20"),
    ),
    Mistake(
        name="a third party that signs",
        files={"a.yaml": source(url="oci://ghcr.io/stefanprodan/manifests/podinfo")},
        found=("source.third-party a.yaml:6",),
    ),
    Mistake(
        name="a chart from an OCI repository without verify",
        files={
            "a.yaml": "apiVersion: source.toolkit.fluxcd.io/v1\nkind: HelmRepository\nmetadata: {name: acme}\n"
            "spec: {type: oci, url: 'oci://ghcr.io/acme/charts'}\n---\n"
            "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: web}\nspec:\n  chart:\n"
            "    spec:\n      chart: web\n      sourceRef: {kind: HelmRepository, name: acme}\n"
        },
        found=("source.unverified a.yaml:11",),
    ),
    Mistake(
        name="an old API version",
        files={"a.yaml": GOOD.replace("fluxcd.io/v1\n", "fluxcd.io/v1beta2\n")},
        found=("api.not-served a.yaml:1",),
    ),
    Mistake(
        name="a bucket",
        files={
            "a.yaml": "apiVersion: source.toolkit.fluxcd.io/v1\nkind: Bucket\nmetadata: {name: b}\n"
            "spec: {bucketName: b, endpoint: s3.acme.example, interval: 5m}\n"
        },
        found=("source.bucket a.yaml:4",),
    ),
    Mistake(
        name="a Git source",
        files={
            "a.yaml": "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {name: g}\n"
            "spec: {url: 'https://github.com/acme/platform', interval: 5m}\n"
        },
        found=("source.git-unverified a.yaml:4",),
    ),
    Mistake(
        name="an admission policy that only reports",
        files={
            "p.yaml": dedent(
                """\
                apiVersion: policies.kyverno.io/v1
                kind: ImageValidatingPolicy
                metadata: {name: signed}
                spec:
                  validationActions: [Audit]
                  attestors:
                  - name: acme
                    cosign:
                      keyless:
                        identities:
                        - issuer: https://token.actions.githubusercontent.com
                          subjectRegExp: https://github\\.com/acme/.*
                      ctlog: {insecureIgnoreSCT: true}
                """
            )
        },
        found=("admission.lax p.yaml:13", "admission.lax p.yaml:5", "verify.regex-loose p.yaml:12"),
    ),
    Mistake(
        name="a cluster policy that admits anybody",
        files={
            "p.yaml": dedent(
                """\
                apiVersion: kyverno.io/v1
                kind: ClusterPolicy
                metadata: {name: signed}
                spec:
                  rules:
                  - name: signed
                    verifyImages:
                    - imageReferences: ["ghcr.io/acme/*"]
                      required: false
                      failureAction: Audit
                      attestors:
                      - entries:
                        - keyless: {issuer: "https://token.actions.githubusercontent.com", subject: "*"}
                """
            )
        },
        found=("admission.lax p.yaml:10", "admission.lax p.yaml:9", "verify.regex-loose p.yaml:13"),
    ),
    Mistake(
        name="a node that verifies loosely",
        files={
            "talos.yaml": dedent(
                """\
                apiVersion: v1alpha1
                kind: ImageVerificationConfig
                rules:
                - image: ghcr.io/acme/*
                  keyless:
                    issuer: https://token.actions.githubusercontent.com
                    subjectRegex: .*
                - image: "*"
                  skip: true
                """
            )
        },
        found=("admission.lax talos.yaml:9", "verify.regex-loose talos.yaml:7"),
    ),
    Mistake(
        name="an application that nothing verifies",
        files={
            "a.yaml": "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: web}\nspec:\n  source:\n"
            "    repoURL: https://github.com/acme/deploy\n    path: prod\n"
        },
        found=("argo.unverified a.yaml:6",),
    ),
    Mistake(name="no YAML", files={"a.yaml": "a: [1\n", "b.yaml": GOOD}, found=("file.unreadable a.yaml:2",)),
]


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_mistake_is_found_by_its_rule_where_it_stands(mistake: Mistake, tmp_path: Path) -> None:
    found = lint(write(tmp_path, mistake.files), flux=mistake.flux).findings
    assert sorted(f"{one.rule} {one.file}:{one.line}" for one in found) == sorted(mistake.found)


CLEAN = {
    "clusters/prod/flux.yaml": _instance(_ADD),
    "clusters/prod/kustomization.yaml": "resources: [flux.yaml, ../../base, config.yaml]\n",
    "clusters/prod/config.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: b}\n",
    "base/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
    "resources: [source.yaml, bare.yaml]\npatches:\n- path: verify.yaml\n",
    "base/source.yaml": GOOD,
    # Verified by the patch beside it, and by nothing of its own.
    "base/bare.yaml": source("bare", url="oci://ghcr.io/acme/bare"),
    "base/verify.yaml": source("bare", url="oci://ghcr.io/acme/bare", verify=matcher()),
    "base/anchors.yaml": "a: &a {b: c}\nd: *a\ne: {<<: *a}\n",
    "apps/web.yaml": "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: web}\n"
    "spec: {chartRef: {kind: OCIRepository, name: platform}, interval: 5m, values: {anything: {verify: 1}}}\n",
    "ksail.yaml": "apiVersion: ksail.io/v1alpha1\nkind: Cluster\nspec:\n  cluster: {gitOpsEngine: Flux}\n"
    "  workload:\n    flux:\n      " + matcher().replace("\n", "\n      ") + "\n",
    "sub.yaml": source("sub", url="oci://${REGISTRY}/acme", verify=matcher(subject="${SUBJECT}")),
}


def test_a_clean_tree_has_no_finding(tmp_path: Path) -> None:
    linted = lint(write(tmp_path, CLEAN))
    assert linted.findings == ()
    assert linted.files == len(CLEAN)


def test_every_rule_has_a_mistake() -> None:
    from dhallmark.gitops.lint.catalogue import RULES

    found = {one.partition(" ")[0] for mistake in MISTAKES for one in mistake.found}
    assert set(RULES) - found == {"tree.attestation"}, "tested beside the trees that releases write"
    assert all(info.title and info.why and info.fix for info in RULES.values())
    assert all(info.severity in Severity for info in RULES.values())
