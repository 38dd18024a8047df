"""Group "GitOps": deploy trees whose files and attestations do not belong together."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from dhallmark.control import Control, Group, Kind, Mutation, NotApplicableError
from dhallmark.controls.catalogue.expected import DHALLMARK, only, rejected
from dhallmark.controls.forge import Bench
from dhallmark.controls.mutations import of_type
from dhallmark.digest import Digest
from dhallmark.files import write_atomic
from dhallmark.reasons import Reason
from dhallmark.statement import SLSA_PROVENANCE_V1, Statement, Subject
from dhallmark.verify.tree import ATTESTATION, CHART, ENVIRONMENTS

_CHART = b"apiVersion: v2\nname: control\nversion: 1.0.0\n"
_TEMPLATE = b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: control\n"
_FILES = {CHART: _CHART, "templates/000-configmap-control.yaml": _TEMPLATE}


def _tree(change: Callable[[Path], None] = lambda _: None, *, attested: str = "prod") -> Mutation:
    """A deploy tree with the chart of `prod`, attested as if it were of `attested`, after `change`, which gets the
    chart's folder."""

    async def mutate(bench: Bench) -> None:
        provenance = of_type(bench, SLSA_PROVENANCE_V1)
        if bench.forge.files is None:
            raise NotApplicableError("a deploy tree is files")
        chart = bench.forge.files / ENVIRONMENTS / "prod"
        for name, content in _FILES.items():
            write_atomic(chart / name, content)
        subjects = [
            Subject(f"{ENVIRONMENTS}/{attested}/{name}", Digest.of(content)) for name, content in _FILES.items()
        ]
        statement = Statement.build(
            predicate_type=SLSA_PROVENANCE_V1, subjects=subjects, predicate=provenance.statement.predicate
        )
        write_atomic(chart / ATTESTATION, bench.forge.sign(statement.payload, provenance.identity))
        change(chart)

    return mutate


async def _empty_tree(bench: Bench) -> None:
    of_type(bench, SLSA_PROVENANCE_V1)
    if bench.forge.files is not None:
        (bench.forge.files / ENVIRONMENTS).mkdir()


def _stray(chart: Path) -> None:
    write_atomic(chart.parent / "attack.yaml", _TEMPLATE)


def _newer_chart(chart: Path) -> None:
    write_atomic(chart / CHART, _CHART.replace(b"1.0.0", b"1.0.1"))


def _unattested(chart: Path) -> None:
    (chart / ATTESTATION).unlink()


def _one_file_more(chart: Path) -> None:
    write_atomic(chart / "templates" / "999-attack.yaml", _TEMPLATE)


def _one_file_less(chart: Path) -> None:
    (chart / "templates" / "000-configmap-control.yaml").unlink()


def _linked(chart: Path) -> None:
    (chart / "templates" / "999-attack.yaml").symlink_to("/etc/passwd")


def _chart_inside(chart: Path) -> None:
    write_atomic(chart / "charts" / "attack" / CHART, _CHART)


def _tampered_attestation(chart: Path) -> None:
    body = json.loads((chart / ATTESTATION).read_bytes())
    body["dsseEnvelope"]["payload"] = body["dsseEnvelope"]["payload"].replace("A", "B", 1)
    write_atomic(chart / ATTESTATION, json.dumps(body))


CONTROLS = tuple(
    Control(
        id=name,
        group=Group.GITOPS,
        title=f"a deploy tree {what}",
        flaw=flaw,
        kind=Kind.TREE,
        mutate=mutation,
        good=_tree(),
        expect=only(DHALLMARK, rejected(reason)),
    )
    for name, what, flaw, mutation, reason in (
        (
            "G6-chart",
            "whose Chart.yaml is newer than its attestation",
            "A chart and an attestation that were updated apart.",
            _tree(_newer_chart),
            Reason.ARTIFACT_CONTENT_MISMATCH,
        ),
        (
            "G6-more",
            "with a file that nobody signed",
            "A manifest that someone added to the repository.",
            _tree(_one_file_more),
            Reason.ARTIFACT_CONTENT_MISMATCH,
        ),
        (
            "G6-less",
            "that lacks a file that was signed",
            "A network policy that someone removed from the repository.",
            _tree(_one_file_less),
            Reason.ARTIFACT_CONTENT_MISMATCH,
        ),
        (
            "G6-none",
            "without an attestation",
            "A deploy path that does not sign.",
            _tree(_unattested),
            Reason.SIGNATURE_NONE,
        ),
        (
            "G6-payload",
            "whose attestation was changed",
            "An attestation that is there, and that nobody verifies.",
            _tree(_tampered_attestation),
            Reason.SIGNATURE_INVALID,
        ),
        (
            "G6-stray",
            "with a file that belongs to no chart",
            "A manifest that someone added to the repository.",
            _tree(_stray),
            Reason.ARTIFACT_CONTENT_MISMATCH,
        ),
        (
            "G6-empty",
            "without a chart",
            "Nothing was checked, and nothing was wrong.",
            _empty_tree,
            Reason.NOTHING_CHECKED,
        ),
        (
            "G6-inside",
            "with a chart inside the chart that it does not list",
            "Helm renders every chart below `charts/`, listed or not.",
            _tree(_chart_inside),
            Reason.ARTIFACT_CONTENT_MISMATCH,
        ),
        (
            "G7",
            "whose attestation is of another environment",
            "What was tested in dev only, deployed in prod.",
            _tree(attested="dev"),
            Reason.SUBJECT_NAME,
        ),
        (
            "P20-symlink",
            "with a symbolic link",
            "A file that is another one on the machine that deploys.",
            _tree(_linked),
            Reason.ARTIFACT_CONTENT_MISMATCH,
        ),
    )
)
