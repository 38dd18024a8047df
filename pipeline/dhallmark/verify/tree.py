"""The verdict on a deploy tree: that every chart in it is, file by file, what its `attestation.json` is about.

A chart's folder has a `Chart.yaml` and an `attestation.json`, one bundle of provenance whose subjects name every file
by its path in the tree. The environment is part of that path: an attestation that was copied from `dev` to `prod`
names nothing there (G7), and one that is newer or older than the chart names other digests (G6). Helm loads every chart
below `charts/`, listed or not; so the charts there must be those that the chart above them, signed, lists as its
dependencies, each in that version: none left out, none added, none of another release (R3, P19).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dhallmark.config import strictyaml
from dhallmark.config.policy import Policy
from dhallmark.digest import Digest
from dhallmark.reasons import Reason
from dhallmark.statement import Statement
from dhallmark.verdict import Check, Verdict
from dhallmark.verify.claims import Signed, SignedMessage, claim_of
from dhallmark.verify.parse import MAX_BUNDLE_BYTES
from dhallmark.verify.policy import PolicyJudge
from dhallmark.verify.refusal import Refusal, border
from dhallmark.verify.run import Run
from dhallmark.verify.trust import TrustRoot

ATTESTATION = "attestation.json"
CHART = "Chart.yaml"
ENVIRONMENTS = "environments"
"""The folder of the tree that holds the environments; subjects' names start with it."""


def verify_tree(tree: Path, policy: Policy, trust: TrustRoot | None) -> Verdict:
    """As `judge_tree`. Raises ConfigError for a policy whose keys cannot be read, and nothing else."""
    return judge_tree(tree, PolicyJudge(policy, trust))


def judge_tree(tree: Path, judge: PolicyJudge) -> Verdict:
    """The verdict on every chart below `environments/` of the deploy tree `tree`. Never raises.

    A tree without charts is `indeterminate(check.none)`; a file that belongs to no chart is a finding.
    """
    run = Run()
    files = run.step("tree.files", lambda: _list(tree))
    if files is None:
        return Verdict.of(str(tree), checks=run.checks)
    charts = _charts_in(files)
    parts = [_verify_chart(tree, chart, _files_of(chart, files), judge) for chart in charts]
    if charts:
        run.step("tree.complete", lambda: _require_covered(files, charts))
    return Verdict.of(str(tree), checks=run.checks if charts else (), parts=parts)


def _list(tree: Path) -> tuple[str, ...]:
    """Every file below `environments/`, by its path in the tree. Refuses what is neither file nor folder (P20)."""
    with border(Reason.ARTIFACT_CONTENT_MISMATCH, "deploy tree"):
        return tuple(sorted(_walk(tree / ENVIRONMENTS, ENVIRONMENTS)))


def _walk(folder: Path, name: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            path = f"{name}/{entry.name}"
            if not path.isprintable():
                raise Refusal(Reason.ARTIFACT_CONTENT_MISMATCH, f"{path!a} is not a name that can be read")
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                yield from _walk(folder / entry.name, path)
            elif stat.S_ISREG(mode):
                yield path
            else:
                raise Refusal(Reason.ARTIFACT_CONTENT_MISMATCH, f"{path} is neither a file nor a folder")


def _files_of(chart: str, files: Sequence[str]) -> tuple[str, ...]:
    return tuple(path for path in files if path.startswith(f"{chart}/"))


def _require_covered(files: Sequence[str], charts: Sequence[str]) -> None:
    for path in files:
        environment = "/".join(path.split("/")[:2])
        if environment not in charts:
            raise Refusal(Reason.ARTIFACT_CONTENT_MISMATCH, f"{path} belongs to no environment's chart")


def _charts_in(files: Sequence[str]) -> list[str]:
    return sorted(path.removesuffix(f"/{CHART}") for path in files if path.endswith(f"/{CHART}"))


def _require_listed(tree: Path, chart: str, files: Sequence[str]) -> None:
    """Refuse charts in `chart`, whose files are `files`, other than its dependencies."""
    below = [inner for inner in _charts_in(files) if inner != chart]
    inside = {inner for inner in below if not any(inner.startswith(f"{other}/") for other in below)}
    listed = _dependencies(tree, chart)
    wanted = {f"{chart}/charts/{name}": version for name, version in listed.items()}
    odd = sorted(inside ^ wanted.keys())
    if odd:
        said = "is not listed by the chart above it" if odd[0] in inside else "is listed by the chart above it and gone"
        raise Refusal(Reason.ARTIFACT_CONTENT_MISMATCH, f"the chart {odd[0]} {said}")
    for inner, version in wanted.items():
        found = str(_chart_yaml(tree, inner).get("version", ""))
        if found != version:
            raise Refusal(
                Reason.ARTIFACT_CONTENT_MISMATCH,
                f"{inner} is of another release than the chart above it",
                expected=version,
                found=found,
            )


def _dependencies(tree: Path, chart: str) -> Mapping[str, str]:
    """Name and version of each chart that `chart` lists."""
    listed = _chart_yaml(tree, chart).get("dependencies", [])
    with border(Reason.ARTIFACT_CONTENT_MISMATCH, f"{chart}/{CHART}"):
        return {str(item["name"]): str(item["version"]) for item in listed}


def _chart_yaml(tree: Path, chart: str) -> Mapping[str, Any]:
    path = f"{chart}/{CHART}"
    with border(Reason.ARTIFACT_CONTENT_MISMATCH, path), (tree / path).open("rb") as file:
        value = strictyaml.parse(file.read(strictyaml.MAX_BYTES + 1), file=path).value
        if not isinstance(value, dict):
            raise Refusal(Reason.ARTIFACT_CONTENT_MISMATCH, f"{path} is no mapping")
        return value


def _verify_chart(tree: Path, chart: str, files: Sequence[str], judge: PolicyJudge) -> Verdict:
    run = Run()
    content = run.step("attestation", lambda: _read(tree, f"{chart}/{ATTESTATION}"))
    if content is None:
        return Verdict.of(chart, checks=run.checks)
    result = judge.examine(content, name=f"{chart}/{ATTESTATION}")
    signed = claim_of(result)
    if not isinstance(signed, Signed):
        run.step("signature.kind", lambda: _require_statement(signed))
        return Verdict.of(chart, checks=run.checks, parts=[result.verdict])
    checks: list[Check] = [*run.checks, *judge.judge_provenance(signed)]
    run = Run()
    named = run.step("subject.name", lambda: _subjects_of(chart, signed.statement))
    if named is not None:
        run.step("tree.content", lambda: _compare(tree, chart, files, named))
    if run.passed:  # what an unsigned Chart.yaml lists says nothing
        run.step("tree.charts", lambda: _require_listed(tree, chart, files))
    return Verdict.of(chart, checks=[*checks, *run.checks], parts=[result.verdict])


def _require_statement(claim: SignedMessage | None) -> None:
    """Refuse a valid signature over bare bytes; what is wrong with an invalid one stands in the bundle's verdict."""
    if claim is not None:
        raise Refusal(Reason.SIGNATURE_KIND, f"{ATTESTATION} signs bare bytes, not a statement about the chart's files")


def _read(tree: Path, path: str) -> bytes:
    try:
        with border(Reason.BUNDLE_MALFORMED, path), (tree / path).open("rb") as file:
            return file.read(MAX_BUNDLE_BYTES + 1)
    except Refusal as refusal:
        if isinstance(refusal.__cause__, FileNotFoundError):
            raise Refusal(Reason.SIGNATURE_NONE, f"the chart has no {ATTESTATION}") from refusal
        raise


def _subjects_of(chart: str, statement: Statement) -> Mapping[str, Digest]:
    """The subjects that are files of this chart. Refuses an attestation of another chart or environment."""
    found: dict[str, Digest] = {}
    for subject in statement.subjects:
        if subject.name.startswith(f"{chart}/") and found.setdefault(subject.name, subject.digest) != subject.digest:
            raise Refusal(Reason.STATEMENT_PREDICATE, f"{subject.name} is a subject with two digests")
    if f"{chart}/{CHART}" not in found:
        others = sorted(subject.name for subject in statement.subjects if subject.name.endswith(f"/{CHART}"))
        raise Refusal(
            Reason.SUBJECT_NAME,
            "the attestation is of another chart or environment",
            expected=f"{chart}/{CHART}",
            found=", ".join(others[:3]),
        )
    return found


def _compare(tree: Path, chart: str, files: Sequence[str], named: Mapping[str, Digest]) -> None:
    """Refuse a file that differs from what was signed, one that was not, and one that is gone."""
    nested = set(_charts_in(files)) - {chart}
    for path in files:
        expected = named.get(path)
        if expected is None:
            # A chart inside this one answers for its own files; an attestation cannot name itself. Another file of
            # its name is none: Helm would render one that lies among the templates.
            if path == f"{chart}/{ATTESTATION}" or any(path.startswith(f"{inner}/") for inner in nested):
                continue
            raise Refusal(Reason.ARTIFACT_CONTENT_MISMATCH, f"{path} is not named in the attestation")
        with border(Reason.ARTIFACT_CONTENT_MISMATCH, path):
            found = Digest.of_file(tree / path)
        if found != expected:
            raise Refusal(
                Reason.ARTIFACT_CONTENT_MISMATCH,
                f"{path} is not the file that was signed",
                expected=expected,
                found=found,
            )
    missing = sorted(named.keys() - set(files))
    if missing:
        raise Refusal(Reason.ARTIFACT_CONTENT_MISMATCH, f"{missing[0]} was signed and is not there")
