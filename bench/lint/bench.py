"""What linting a GitOps repository of 5,000 YAML files costs, against only reading them with PyYAML.

    python bench/lint/bench.py [--files 5000] [--repeat 3] [--write]

The repository is made for the run: of twenty files one is a source, one a kustomization that lists its folder, the
others are workloads of some sixty lines. `dhallmark` is the whole command, from start to report; the others are loops
such as people write by hand, which read every document and look at nothing. All take turns.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parents[2]
RESULTS = REPOSITORY / "bench" / "results" / "lint.csv"
TARGET_SECONDS = 10.0
"""Most that 5,000 files may take on two cores."""
TARGET_MEMORY = 250 * 1024
"""Most KiB of all processes together."""
_FOLDER = 20

_SOURCE = r"""apiVersion: source.toolkit.fluxcd.io/v1
kind: OCIRepository
metadata:
  name: web-{number}
  namespace: apps
spec:
  interval: 5m
  url: oci://ghcr.io/acme/web-{number}
  ref:
    digest: sha256:{digest}
  verify:
    provider: cosign
    matchOIDCIdentity:
      - issuer: ^https://token\.actions\.githubusercontent\.com$
        subject: ^https://github\.com/acme/web-{number}/\.github/workflows/release\.yaml@refs/heads/main$
"""
_WORKLOAD = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: web-{number}
  labels: {{app: web, tier: "front"}}
spec:
  replicas: 3
  template:
    spec:
      containers:
{containers}"""
_CONTAINER = """        - name: c{index}
          image: ghcr.io/acme/web:1.2.{index}
          ports:
            - containerPort: 80{index}
          env:
            - name: A
              value: "{index}"
            - name: B
              valueFrom: {{secretKeyRef: {{name: web, key: b}}}}
          resources:
            limits: {{cpu: 100m, memory: 64Mi}}
"""


class Run(NamedTuple):
    """What one run cost."""

    wall_seconds: float
    cpu_seconds: float
    peak_kib: int
    """Of all processes together; pages that they share count for each."""


def make_repository(root: Path, files: int) -> None:
    """Write `files` files below `root`."""
    for number in range(files):
        folder = root / "apps" / f"team-{number // _FOLDER}"
        folder.mkdir(parents=True, exist_ok=True)
        place = number % _FOLDER
        if place == 0:
            (folder / "source.yaml").write_text(_SOURCE.format(number=number, digest=f"{number:064x}"))
        elif place == 1:
            names = ["source.yaml", *(f"w{other}.yaml" for other in range(2, _FOLDER))]
            (folder / "kustomization.yaml").write_text("resources:\n" + "".join(f"  - {name}\n" for name in names))
        else:
            containers = "".join(_CONTAINER.format(index=index) for index in range(5))
            (folder / f"w{place}.yaml").write_text(_WORKLOAD.format(number=number, containers=containers))


def lint(root: Path) -> list[str]:
    return [sys.executable, "-m", "dhallmark", "gitops", "lint", str(root), "--output=json"]


_READ = """
import pathlib, sys, yaml
for path in pathlib.Path(sys.argv[1]).rglob("*.yaml"):
    list(yaml.load_all(path.read_text(), yaml.{loader}))
"""


def read_with(loader: str) -> Callable[[Path], list[str]]:
    return lambda root: [sys.executable, "-c", _READ.replace("{loader}", loader), str(root)]


APPROACHES: dict[str, Callable[[Path], list[str]]] = {
    "dhallmark": lint,
    "read-c": read_with("CSafeLoader"),
    "read-python": read_with("SafeLoader"),
}


def measure(command: list[str], *, files: int) -> Run:
    """One run of `command`, in a session of its own: its processes are those of the session."""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "pipeline")}
    start = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, start_new_session=True)
    seen: dict[int, float] = {}
    peak = [0]
    done = threading.Event()
    sampler = threading.Thread(target=_sample, args=(process.pid, seen, peak, done))
    sampler.start()
    stdout, _ = process.communicate()
    wall = time.perf_counter() - start
    done.set()
    sampler.join()
    if process.returncode or (stdout and json.loads(stdout)["files"] != files):
        raise SystemExit(f"{command[1:3]} ended with {process.returncode}")
    return Run(wall, sum(seen.values()), peak[0])


def _sample(session: int, seen: dict[int, float], peak: list[int], done: threading.Event) -> None:
    """Note the processor time of each process of the session, and the most memory of all together."""
    tick = os.sysconf("SC_CLK_TCK")
    page = os.sysconf("SC_PAGE_SIZE") // 1024
    while not done.wait(0.02):
        total = 0
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                # After the name in brackets: state, parent, group, session, … (proc_pid_stat(5)).
                fields = path.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == session:
                seen[int(path.parent.name)] = (int(fields[11]) + int(fields[12])) / tick
                total += int(fields[21]) * page
        peak[0] = max(peak[0], total)


def main() -> int:
    # Commands run with bytecode, as an installed package does.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.relative_to(REPOSITORY)} anew")
    options = parser.parse_args()
    rows: list[dict[str, str]] = []
    walls: dict[str, list[float]] = {name: [] for name in APPROACHES}
    with tempfile.TemporaryDirectory(prefix="dhallmark-bench-") as name:
        make_repository(Path(name), options.files)
        for turn in range(1, options.repeat + 1):
            for approach, command in APPROACHES.items():
                run = measure(command(Path(name)), files=options.files)
                walls[approach].append(run.wall_seconds)
                row = {
                    "approach": approach,
                    "run": turn,
                    "files": options.files,
                    "wall_seconds": f"{run.wall_seconds:.2f}",
                }
                rows.append(row | {"cpu_seconds": f"{run.cpu_seconds:.2f}", "peak_kib": str(run.peak_kib)})
                sys.stdout.write(" ".join(f"{key}={value}" for key, value in rows[-1].items()) + "\n")
    medians = {approach: statistics.median(found) for approach, found in walls.items()}
    for approach, median in medians.items():
        sys.stdout.write(f"{approach}: {median:.2f} s; dhallmark is {medians['dhallmark'] / median:.2f} of it\n")
    if options.write:
        RESULTS.parent.mkdir(exist_ok=True)
        with RESULTS.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    peak = max(int(row["peak_kib"]) for row in rows if row["approach"] == "dhallmark")
    seconds = medians["dhallmark"] * 5000 / options.files
    missed = seconds > TARGET_SECONDS or peak > TARGET_MEMORY
    sys.stdout.write(f"{'MISSED' if missed else 'met'}: {seconds:.1f} s for 5,000 files, {peak} KiB\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
