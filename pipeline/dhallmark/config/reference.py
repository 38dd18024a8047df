"""The reference of the policy file, made from its model: what stands in docs/policy.md."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dhallmark.config.policy import Policy
from dhallmark.config.schema import json_schema
from dhallmark.identity import EXTENSION_OIDS

_INTRODUCTION = """\
# The policy file
A policy says who may sign what, and what else must hold before anything is deployed. It is evaluated on the unsigned
statements before the first signature, after publishing, and by everyone who verifies. Unknown keys are errors; so is a
demand that nothing would be compared with. Defaults are strict: what is not said is not allowed.

`dhallmark policy check policy.yaml` says which look-alikes an expression lets in. `dhallmark schema policy` prints the
JSON Schema for editors. Each refusal has a code: see [reasons.md](reasons.md).

This page is made from the model that checks the file: `dhallmark policy reference > docs/policy.md`.

## The least that is useful
```yaml
schemaVersion: 1
identities:
  release:
    issuer: https://token.actions.githubusercontent.com
    subject: https://github.com/acme/platform/.github/workflows/release.yml@refs/heads/main
statements:
  - predicateType: https://sigstore.dev/cosign/sign/v1
    identities: [release]
```

## A reusable workflow that is pinned by its commit
The subject then ends with the commit of the pin, and changes with each bump. A list of commits outlives that; an
expression alone would let in the commits of forks, which a forge serves under the repository's own name.
```yaml
schemaVersion: 1
identities:
  release:
    issuer: https://token.actions.githubusercontent.com
    subjectRegExp: https://github\\.com/acme/workflows/\\.github/workflows/release\\.yml@[0-9a-f]{40}
    extensions:
      sourceRepositoryURI: https://github.com/acme/platform
      sourceRepositoryRef: refs/heads/main
      runnerEnvironment: github-hosted
      buildSignerDigest:
        - 5f0e4f2ad2d3a9a6a1c4d5e8b7c60f1e2d3c4b5a
        - 9b1c0d2e3f4a5b6c7d8e9f0a1b2c3d4e5f6a7b8c
    reachable:
      buildSignerDigest: { bundle: workflows.bundle, branches: [refs/heads/main] }
statements:
  - predicateType: https://sigstore.dev/cosign/sign/v1
    identities: [release]
  - predicateType: https://slsa.dev/provenance/v1
    identities: [release]
source:
  repository: https://github.com/acme/platform
  refs: [refs/heads/main]
builders:
  - https://github.com/acme/platform/.github/workflows/release.yml@refs/heads/main
versions:
  minimum: 1.4.0
freshness:
  maxAge: 90d
```

## A site with a key in an HSM, and no log
```yaml
schemaVersion: 1
version: 3
expires: 2027-06-30T00:00:00Z
identities:
  release:
    key: keys/release.pem
    validFrom: 2026-01-01T00:00:00Z
    validUntil: 2027-01-01T00:00:00Z
statements:
  - predicateType: https://sigstore.dev/cosign/sign/v1
    identities: [release]
evidence:
  logEntries: 0
  timestamps: 1
trustRoot:
  accepted:
    - digest: sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
      confirmed: 2026-11-01T00:00:00Z
  maxAge: 90d
```
"""
_EXTENSIONS = """\
## Extensions
Fulcio writes what the CI's token says of the run into the certificate. Names for `extensions`, by OID:
"""


def policy_reference() -> str:
    """The whole page, as Markdown."""
    schema: Mapping[str, Any] = json_schema(Policy, name="policy", title="Policy")
    models = {"Policy": schema, **schema["$defs"]}
    order = _reachable(models)
    parts = [_INTRODUCTION]
    parts += ["\n".join(_section(name, models[name], models)) + "\n" for name in order]
    rows = [f"| `{name}` | {oid} |" for name, oid in EXTENSION_OIDS.items()]
    parts.append("\n".join([_EXTENSIONS.rstrip("\n"), "", "| name | OID |", "|---|---|", *rows]) + "\n")
    return "\n".join(parts)


def _reachable(models: Mapping[str, Any]) -> list[str]:
    """The models in the order in which a reader meets them."""
    found = ["Policy"]
    for name in found:  # grows as it is read
        for field in models[name]["properties"].values():
            found += [ref for ref in _refs(field) if "properties" in models[ref] and ref not in found]
    return found


def _refs(schema: object) -> Iterator[str]:
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"].rpartition("/")[2]
        for value in schema.values():
            yield from _refs(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from _refs(item)


def _section(name: str, schema: Mapping[str, Any], models: Mapping[str, Any]) -> Iterator[str]:
    yield f"## {name}" if name != "Policy" else "## Policy: the whole file"
    yield schema.get("description", "").strip()
    yield ""
    yield "| key | value | where it is not given | meaning |"
    yield "|---|---|---|---|"
    for key, field in schema["properties"].items():
        required = key in schema.get("required", ())
        yield f"| `{key}` | {_kind(field, models)} | {_default(field, required=required)} | {_meaning(field)} |"


def _meaning(field: Mapping[str, Any]) -> str:
    return str(field.get("description", "")).replace("|", "\\|")


def _default(field: Mapping[str, Any], *, required: bool) -> str:
    if required:
        return "must be given"
    default = field.get("default")
    if default in (None, [], {}) or isinstance(default, dict):
        return ""
    return f"`{json.dumps(default)}`" if not isinstance(default, str) else f"`{default}`"


def _kind(field: Mapping[str, Any], models: Mapping[str, Any]) -> str:
    """What a value may be, in a few words."""
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return _one_of(models[name]["enum"]) if "enum" in models[name] else f"[{name}](#{name.lower()})"
    if "anyOf" in field:
        kinds = [_kind(one, models) for one in field["anyOf"] if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "const" in field or "enum" in field:
        return _one_of(field.get("enum") or [field["const"]])
    if field["type"] == "array":
        return f"list of {_kind(field['items'], models)}"
    if field["type"] == "object":
        # Keys that have a pattern, such as names, make pydantic write their values there.
        (values,) = field.get("patternProperties", {"": field.get("additionalProperties")}).values()
        return f"mapping to {_kind(values, models)}"
    return _SCALARS.get(field["type"]) or _TEXTS.get(field.get("pattern") or field.get("format") or "", "text")


def _one_of(values: Sequence[object]) -> str:
    return " or ".join(f"`{value}`" for value in values)


_SCALARS = {"integer": "number", "boolean": "`true` or `false`"}
_TEXTS = {
    "date-time": "moment, such as `2026-11-22T00:00:00Z`",
    r"^[1-9][0-9]{0,4}[dhm]$": "span, such as `90d`, `12h`, `30m`",
    r"^sha256:[0-9a-f]{64}$": "`sha256:…`",
}
