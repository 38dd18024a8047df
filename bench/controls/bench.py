"""What a run of controls costs: the whole catalogue on one artifact, judged by dhallmark and cosign.

    python bench/controls/bench.py [--repeat 3] [--write]

The artifact is the chart of the project that `dhallmark init` writes, released into a lab by `dhallmark release`. The
controls are prepared once; what is measured is judging them, by the command, with everything that a user waits for.
`whole` judges the whole catalogue by dhallmark and cosign. `together` and `one-by-one` judge the few that every release
runs, by one command and by one command for each, as a script would. `cpu_seconds` is what all processes of a run used,
registries and consumers among them. A command that takes too long is killed, and ends the benchmark.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from dhallmark.cli.init import Platform, init
from dhallmark.controls.catalogue import FIRST
from dhallmark.lab.session import Lab, open_lab

REPOSITORY = Path(__file__).resolve().parents[2]
RESULTS = REPOSITORY / "bench" / "results" / "controls.csv"
TARGET = 300.0
"""Seconds, at most, for the whole catalogue on two cores."""
BOUND = 3 * TARGET
"""Seconds, for each command: what takes longer is not worth waiting for."""
WORKFLOW = "acme/platform/.github/workflows/release.yml@refs/heads/main"
COMMAND = (sys.executable, "-m", "dhallmark.cli.app")
PYTHON = {"PYTHONPATH": str(REPOSITORY / "pipeline")}
UNWANTED = ("failed", "indeterminate")
"""Statuses of a control that make a run no measurement; each is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One run of one approach."""

    approach: str
    run: int
    cores: int
    controls: int
    judgements: int
    wall_seconds: float
    cpu_seconds: float
    passed: int
    open_holes: int
    failed: int


def release(lab: Lab, folder: Path) -> tuple[str, Path]:
    """Release the starter project into the lab; its first artifact by digest, and the policy."""
    init(
        directory=folder,
        project="bench",
        source="https://github.com/acme/platform",
        registry=lab.registry,
        ci=Platform.GITHUB,
        plain_http=True,
    )
    who = {f"GIT_{role}_{key}": f"{key}@bench" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
    for words in (["init", "-q", "-b", "main"], ["add", "--all"], ["commit", "-q", "-m", "release"]):
        subprocess.run(["git", *words], cwd=folder, env=os.environ | who, check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True)
    job = {
        **lab.github_job(claims={"sha": head.stdout.strip()}),
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": "acme/platform",
        "GITHUB_WORKFLOW_REF": WORKFLOW,
        "GITHUB_RUN_ID": "7000000001",  # as the lab's tokens say
        "GITHUB_RUN_ATTEMPT": "1",
    }
    trust = ["--trust-config", str(lab.trust_config())]
    lab.run([*COMMAND, "release", *trust], cwd=folder, env={**job, **PYTHON}, check=True, timeout=BOUND)
    artifact = json.loads((folder / "build" / "publish.json").read_bytes())["artifacts"][0]
    return f"{artifact['repository']}@{artifact['digest']}", folder / "policy.yaml"


def prepare(lab: Lab, reference: str, policy: Path, into: Path) -> None:
    """Prepare the whole catalogue."""
    arguments = ["--ref", reference, "--policy", str(policy), "--trusted-root", str(lab.trusted_root())]
    command = [*COMMAND, "controls", *arguments, "--plain-http", "--prepare-only", "--into", str(into)]
    lab.run(command, env=PYTHON, check=True, timeout=BOUND)


def judge(prepared: Path, *arguments: str) -> dict[str, object]:
    """One run of the command; its report. A control that fails is a row's business, not an error here."""
    command = [*COMMAND, "controls", "--prepared", str(prepared), "--output", "json", "--quiet", *arguments]
    done = subprocess.run(command, env=os.environ | PYTHON, stdout=subprocess.PIPE, check=False, timeout=BOUND)
    report: dict[str, object] = json.loads(done.stdout)
    return report


def measure(approach: str, run: int, prepared: Path, calls: Sequence[Sequence[str]]) -> Row:
    """One row: `calls` of the command, one after another."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    reports = [judge(prepared, *call) for call in calls]
    wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    findings = [finding for report in reports for finding in report["findings"]]  # type: ignore[attr-defined]
    statuses = [finding["status"] for finding in findings]
    for finding in findings:
        if finding["status"] in UNWANTED:
            print(f"{finding['control']} by {finding['consumer']}: {finding['explanation']}", flush=True)
    return Row(
        approach=approach,
        run=run,
        cores=os.cpu_count() or 1,
        controls=len({finding["control"] for finding in findings}),
        judgements=len(findings),
        wall_seconds=round(wall, 2),
        cpu_seconds=round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2),
        passed=statuses.count("passed"),
        open_holes=statuses.count("out-of-scope"),
        failed=sum(map(statuses.count, UNWANTED)),
    )


def main() -> int:
    # Commands run with bytecode, as an installed package does.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--repeat", type=int, default=1, help="runs of each approach")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.relative_to(REPOSITORY)} anew")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="dhallmark-bench-") as work:
        prepared = Path(work) / "prepared"
        with open_lab(Path(work) / "lab") as lab:
            reference, policy = release(lab, Path(work) / "project")
            prepare(lab, reference, policy, prepared)
            print("released and prepared", flush=True)
        one_by_one = [["--case", control.id] for control in FIRST]
        approaches: dict[str, Sequence[Sequence[str]]] = {
            "whole": [[]],
            "together": [["--first"]],
            "one-by-one": one_by_one,
        }
        for run in range(1, options.repeat + 1):
            for approach, calls in approaches.items():
                rows.append(measure(approach, run, prepared, calls))
                print(rows[-1], flush=True)
    if options.write:
        with RESULTS.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(asdict(rows[0])), lineterminator="\n")
            writer.writeheader()
            writer.writerows(asdict(row) for row in rows)
    walls = {name: statistics.median(row.wall_seconds for row in rows if row.approach == name) for name in approaches}
    print(f"whole catalogue: {walls['whole']:.0f} s (target: at most {TARGET:.0f} s)")
    print(f"one command for each control takes {walls['one-by-one'] / walls['together']:.1f} times as long")
    return 0 if walls["whole"] <= TARGET and not any(row.failed for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
