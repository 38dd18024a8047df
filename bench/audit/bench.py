"""What auditing 24 charts of one release costs, against making that release.

    python bench/audit/bench.py [--repeat 3] [--write]

The release is `examples/platform`, whole: `dhallmark resolve`, `render` and `package`, as a user calls them, with the
remote import's cache entry at hand. The audit is one `dhallmark audit` of 24 of its charts, each an image layout of its
own with signatures and materials, as a registry would give them: verified, unpacked, rebuilt once, compared. They take
turns, so that a busy machine is busy for both. `cpu_seconds` is what all processes used; `peak_mib` the largest one's
resident memory.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

from tests.component.audit.releases import Maker  # noqa: E402

EXAMPLE = REPOSITORY / "examples" / "platform"
PACKAGE = REPOSITORY / "examples" / "packages" / "labels" / "v1.2.0" / "package.dhall"
RESULTS = REPOSITORY / "bench" / "results" / "audit.csv"
CHARTS = 24
TARGET = 1.5
"""Most that the audit may take, as a share of the release's own resolve, render and package."""
MOST_MIB = 512
"""Most that any process of the audit may hold."""


def command(*words: str | Path, status: int = 0, cache: Path, cwd: Path | None = None) -> str:
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "pipeline"), "XDG_CACHE_HOME": str(cache)}
    done = subprocess.run(
        [sys.executable, "-m", "dhallmark.cli.app", *words],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != status:
        raise SystemExit(f"{words[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def release(maker: Maker, work: Path, cache: Path) -> None:
    """Make the release, as its builder did."""
    build = work / "release"
    shutil.rmtree(build, ignore_errors=True)
    for step in ("resolve", "render", "package"):
        command(step, "--build", build, "--quiet", cache=cache, cwd=maker.root)


def audit(maker: Maker, layouts: Sequence[Path], cache: Path) -> None:
    """Audit all of `layouts`, with nothing kept from before."""
    said = json.loads(
        command("audit", *layouts, "--policy", maker.policy, "--require", "equal", "--output", "json", cache=cache)
    )
    if said["counts"]["equal"] != len(layouts):
        raise SystemExit(f"not equal: {said['counts']}")


def measured(run: Callable[[], None]) -> tuple[float, float]:
    """Wall and processor seconds."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    run()
    seconds, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def peak_of(run: Callable[[], None]) -> float:
    """MiB of the largest process that `run` starts, in a child of its own: the kernel keeps the largest of all."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        run()
        os.write(writing, str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        text = file.read()
    os.waitpid(child, 0)
    return int(text) / 1024


def main() -> int:
    # Commands run with bytecode, as an installed package does.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dhallmark-bench-") as folder:
        work = Path(folder)
        cache = work / "cache"
        environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "XDG_CACHE_HOME": str(cache)}
        cache.mkdir()
        subprocess.run(
            ["dhall", "hash", "--cache", "--file", PACKAGE], env=environment, stdout=subprocess.DEVNULL, check=True
        )
        maker = Maker.new(work / "maker", source=EXAMPLE, seeds=(cache / "dhall",))
        charts = [one for one in maker.make().artifacts if one.kind == "chart"][:CHARTS]
        layouts = []
        for chart in charts:
            layouts.append(work / "layouts" / chart.slug.replace("/", "-"))
            maker.publish(layouts[-1], chart)
        rows: list[dict[str, object]] = []
        runs: dict[str, Callable[[], None]] = {
            "release": lambda: release(maker, work, cache),
            "audit": lambda: audit(maker, layouts, cache),
        }
        for number in range(1, options.repeat + 1):
            for name, run in runs.items():
                seconds, cpu = measured(run)
                rows.append(
                    {"approach": name, "run": number, "seconds": round(seconds, 2), "cpu_seconds": round(cpu, 2)}
                )
                print(rows[-1], flush=True)
        peak = peak_of(runs["audit"])
    for row in rows:
        row["peak_mib"] = round(peak, 1) if row["approach"] == "audit" else ""
    if options.write:
        RESULTS.parent.mkdir(exist_ok=True)
        with RESULTS.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    ratios = {}
    for field in ("seconds", "cpu_seconds"):
        median = {
            name: statistics.median(float(str(row[field])) for row in rows if row["approach"] == name) for name in runs
        }
        ratios[field] = median["audit"] / median["release"]
        print(f"{field}: audit {median['audit']:.2f}, release {median['release']:.2f}, ratio {ratios[field]:.2f}")
    print(f"largest process of the audit: {peak:.0f} MiB (at most {MOST_MIB}); target: {TARGET} of the release")
    return int(ratios["seconds"] > TARGET or peak > MOST_MIB)


if __name__ == "__main__":
    sys.exit(main())
