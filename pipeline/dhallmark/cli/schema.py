"""`dhallmark schema`."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from dhallmark import strictjson
from dhallmark.audit.model import AuditsRecord
from dhallmark.audit.predicate import RebuildPredicate
from dhallmark.cli.result import Result
from dhallmark.config.model import Config, Model
from dhallmark.config.policy import Policy
from dhallmark.config.schema import json_schema
from dhallmark.package.model import Artifacts
from dhallmark.prove.model import ProofRecord
from dhallmark.publish.model import Publication, Pushed
from dhallmark.render.closure import Closure
from dhallmark.report.model import Report
from dhallmark.report.records import ControlsRecord, VerdictsRecord


class Kind(StrEnum):
    """The files that have a schema here."""

    CONFIG = "config"
    """`dhallmark.yaml`."""
    POLICY = "policy"
    """The policy file."""
    CLOSURE = "closure"
    """`resolve/closure.json` of a build directory."""
    ARTIFACTS = "artifacts"
    """`package/artifacts.json` of a build directory."""
    PUSH = "push"
    """`publish/<env>/<name>.json` of a build directory."""
    PUBLISH = "publish"
    """`publish.json` of a build directory."""
    RELEASE = "release"
    """`release.json` of a build directory."""
    VERDICTS = "verdicts"
    """What `dhallmark verify --output json` prints."""
    CONTROLS = "controls"
    """What `dhallmark controls --output json` prints."""
    PROOF = "proof"
    """What `dhallmark prove --output json` prints."""
    AUDIT = "audit"
    """What `dhallmark audit --output json` prints."""
    REBUILD = "rebuild"
    """The predicate of a rebuild statement."""


MODELS: Mapping[Kind, tuple[type[Model], str]] = {
    Kind.CONFIG: (Config, "dhallmark.yaml"),
    Kind.POLICY: (Policy, "dhallmark policy"),
    Kind.CLOSURE: (Closure, "dhallmark closure of imports"),
    Kind.ARTIFACTS: (Artifacts, "dhallmark artifacts"),
    Kind.PUSH: (Pushed, "dhallmark pushed artifact"),
    Kind.PUBLISH: (Publication, "dhallmark publication"),
    Kind.RELEASE: (Report, "dhallmark release"),
    Kind.VERDICTS: (VerdictsRecord, "dhallmark verdicts"),
    Kind.CONTROLS: (ControlsRecord, "dhallmark controls"),
    Kind.PROOF: (ProofRecord, "dhallmark proof"),
    Kind.AUDIT: (AuditsRecord, "dhallmark audit"),
    Kind.REBUILD: (RebuildPredicate, "dhallmark rebuild statement, predicate"),
}


def schema(kind: Kind, /) -> Result:
    """Print the JSON Schema of a file, for editors and other checkers.

    Most editors take it from a first line such as `# yaml-language-server: $schema=config.schema.json`.

    Parameters
    ----------
    kind
        `config` for dhallmark.yaml, `policy` for the policy file; the others are files of the build directory.
    """
    body = schema_of(kind)
    return Result(data=body, text=strictjson.dump(body).decode())


def schema_of(kind: Kind) -> dict[str, object]:
    """The JSON Schema of one kind of file."""
    model, title = MODELS[kind]
    return json_schema(model, name=kind.value, title=title)
