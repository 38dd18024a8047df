"""The page that docs/lint.md holds, made from the rules."""

from __future__ import annotations

from dhallmark.gitops.lint.catalogue import RULES
from dhallmark.gitops.lint.model import Severity

_HEAD = """\
# Linting a GitOps repository

`dhallmark gitops lint PATH` reads every YAML file below `PATH` and says where the verification that it configures
is missing, is not in force, or lets strangers in. It knows Flux (sources, Kustomizations, HelmReleases), Kustomize,
FluxInstance and ResourceSet, KSail, Kyverno's image policies, Talos's image verification, Argo CD's applications,
and the deploy trees of dhallmark. It needs no cluster, no network and no credentials.

```sh
dhallmark gitops lint clusters/  # text, with file and line
dhallmark gitops lint . --report sarif=lint.sarif  # for code scanning; junit, json, markdown, html likewise
dhallmark gitops lint . --baseline lint-baseline.json --write-baseline  # accept what there is today
dhallmark gitops lint . --baseline lint-baseline.json  # from now on, fail on what is new
dhallmark gitops lint . --fix  # anchor expressions and escape dots, where that is safe
```

It ends with 0 where nothing is found that is as bad as `--fail-on` (by default a warning), and with 1 otherwise; a
folder without a YAML file is an error, since nothing looked at is no success.

## How it reads a repository

- An object is judged as it is applied: bases, overlays, patches and Flux's own `spec.patches` are put together
  first. A source that its base leaves unverified and every overlay verifies is verified.
- Sources are found by kind and URL, also in lists, in ResourceSets, in Helm values, in files of ConfigMaps, and in
  templates, whose actions are replaced.
- Identities are tried with look-alikes by RE2, as consumers do: not anchored. What Flux's substitution fills in
  (`${…}`) is not judged.
- Keys are compared with the CustomResourceDefinitions of the Flux version that `--flux` names.
- Aliases are followed and never expanded; depth, size and number of nodes are bounded. A file that cannot be read
  is a finding.
- Symlinks, `.git` and `node_modules` are left out, and what `--exclude` names.

A finding of a baseline is known by rule, file, object and message, so that it may move within its file. What the
baseline names and is gone is reported, and taken out by `--write-baseline`, which keeps the reasons that you wrote
into it.

## The rules

This page is made from the rules: `dhallmark gitops lint --rules --markdown > docs/lint.md`.
"""


def page() -> str:
    """The page, in Markdown."""
    lines = [_HEAD]
    for severity in Severity:
        lines.append(f"### {severity.value.capitalize()}s\n")
        for name, info in RULES.items():
            if info.severity is severity:
                control = f" Control {info.control}." if info.control else ""
                lines += [
                    f"#### `{name}`\n",
                    f"{info.title}{control}\n",
                    f"- Why: {info.why}",
                    f"- What to do: {info.fix}\n",
                ]
    return "\n".join(lines).rstrip() + "\n"
