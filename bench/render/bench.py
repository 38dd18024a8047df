"""What rendering a release costs, against separate `dhall` runs of the same units.

    python bench/render/bench.py [--repeat 3] [--write]

All get the same units (every application in every environment of `examples/platform`), the same `dhall`, and the
remote import's cache entry, so that none needs the network. dhallmark starts with an empty cache; the separate runs
share one that is warm. What dhallmark yields: each unit's encoded normal form, the record of all imports (who imports
whom, the hash of each), charts and umbrella charts. `BASELINES` says what each of the others yields; none makes charts.
They take turns, so that a busy machine is busy for all. `cpu_seconds` is what all processes of a run used.
"""

from __future__ import annotations

import argparse
import csv
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from dhallmark.config.load import load_config
from dhallmark.plan import Plan, make_plan
from dhallmark.render.graph import parse_dot
from dhallmark.render.resolve import unit_expression

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLE = REPOSITORY / "examples" / "platform"
PACKAGE = REPOSITORY / "examples" / "packages" / "labels" / "v1.2.0" / "package.dhall"
RESULTS = REPOSITORY / "bench" / "results" / "render.csv"
MODES = {"code": "", "text": " as Text", "bytes": " as Bytes", "location": " as Location"}
TARGET = 0.2
"""Most that `dhallmark` may cost, as a share of `same-data`."""


def dhall(*arguments: str, cache: Path, source: str = "", directory: Path = EXAMPLE) -> bytes:
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "XDG_CACHE_HOME": str(cache)}
    return subprocess.run(
        ["dhall", *arguments],
        cwd=directory,
        env=environment,
        input=source.encode(),
        stdout=subprocess.PIPE,
        check=True,
    ).stdout


def dhallmark(plan: Plan, work: Path, seed: Path) -> None:
    build = work / "build"
    shutil.rmtree(build, ignore_errors=True)
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "pipeline"), "XDG_CACHE_HOME": str(seed)}
    for command in ("resolve", "render"):
        subprocess.run(
            [sys.executable, "-m", "dhallmark.cli.app", command, "--build", str(build), "--quiet"],
            cwd=EXAMPLE,
            env=environment,
            stdout=subprocess.DEVNULL,
            check=True,
        )
    rendered = sum(1 for unit in plan.units if (build / "render" / unit.path / "Chart.yaml").is_file())
    if rendered != len(plan.units):
        raise SystemExit(f"dhallmark rendered {rendered} of {len(plan.units)} units")


def normal_forms_pinned(plan: Plan, work: Path, seed: Path) -> None:
    for index, unit in enumerate(plan.units):
        expression = unit_expression(plan, unit)
        digest = dhall("hash", cache=seed, source=expression).decode().strip()
        # An import can be pinned, an expression cannot: the unit becomes a file, with its imports where they stand.
        wrapper = work / f"{index}.dhall"
        wrapper.write_text(expression.replace("./", f"{EXAMPLE}/"))
        dhall("resolve", cache=seed, source=f"{wrapper} {digest}")
        expect_entry(seed, digest)


def normal_forms(plan: Plan, _work: Path, seed: Path) -> None:
    for unit in plan.units:
        expect_entry(seed, dhall("hash", "--cache", cache=seed, source=unit_expression(plan, unit)).decode().strip())


def expect_entry(cache: Path, digest: str) -> None:
    if not (cache / "dhall" / f"1220{digest.removeprefix('sha256:')}").is_file():
        raise SystemExit(f"no normal form {digest}")


def same_data(plan: Plan, work: Path, seed: Path) -> None:
    normal_forms(plan, work, seed)
    imports: set[str] = set()
    for unit in plan.units:
        graph = parse_dot(dhall("resolve", "--dot", cache=seed, source=unit_expression(plan, unit)).decode())
        imports |= {f"{node.target} {node.digest or ''}{MODES[node.mode]}" for node in graph.reachable()}
    for source in sorted(imports):
        dhall("hash", cache=seed, source=source)


def printed(plan: Plan, _work: Path, seed: Path) -> None:
    for unit in plan.units:
        dhall(cache=seed, source=unit_expression(plan, unit))


class Baseline(NamedTuple):
    """One way to run `dhall` for each unit by itself."""

    run: Callable[[Plan, Path, Path], None]
    yields: str


BASELINES = {
    "same-data": Baseline(
        same_data,
        "what dhallmark yields but for charts, by the fewest runs: for each unit `dhall hash --cache` (its normal "
        "form) and `dhall resolve --dot` (who imports whom), for each import `dhall hash`. Like for like.",
    ),
    "normal-forms-pinned": Baseline(
        normal_forms_pinned,
        "encoded normal forms alone, the documented way: for each unit `dhall hash`, then `dhall resolve` of the unit "
        "pinned by that hash. No record of imports.",
    ),
    "normal-forms": Baseline(
        normal_forms,
        "encoded normal forms alone, by one run for each unit: `dhall hash --cache`. No record of imports.",
    ),
    "printed": Baseline(
        printed,
        "normal forms as Dhall text, by one run for each unit: `dhall`. No record of imports, and no form that another "
        "program reads.",
    ),
}
APPROACHES = {"dhallmark": dhallmark} | {name: baseline.run for name, baseline in BASELINES.items()}


def measure(run: Callable[[Plan, Path, Path], None], plan: Plan) -> tuple[float, float]:
    """Wall and processor seconds of one run, with a cache of its own that holds the remote import."""
    with tempfile.TemporaryDirectory(prefix="dhallmark-bench-") as name:
        work, seed = Path(name) / "work", Path(name) / "cache"
        work.mkdir()
        dhall("hash", "--cache", "--file", str(PACKAGE), cache=seed)
        if run is not dhallmark:
            # Warm: every local import's normal form stands in Dhall's own cache.
            fields = ", ".join(f"u{index} = {unit_expression(plan, unit)}" for index, unit in enumerate(plan.units))
            dhall("resolve", "--transitive-dependencies", cache=seed, source=f"{{ {fields} }}")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.perf_counter()
        run(plan, work, seed)
        wall = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def write(rows: list[dict[str, object]]) -> None:
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    with RESULTS.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> int:
    # Commands run with bytecode, as an installed package does.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    parser = argparse.ArgumentParser(description="Rendering a release against separate runs of dhall.")
    parser.add_argument("--repeat", type=int, default=3, help="how often each is run")
    parser.add_argument("--write", action="store_true", help=f"keep the raw results in {RESULTS.name}")
    options = parser.parse_args()
    plan = make_plan(load_config(EXAMPLE / "dhallmark.yaml"))
    rows: list[dict[str, object]] = []
    walls: dict[str, list[float]] = {name: [] for name in APPROACHES}
    cpus: dict[str, list[float]] = {name: [] for name in APPROACHES}
    for turn in range(1, options.repeat + 1):
        for name, run in APPROACHES.items():
            wall, cpu = measure(run, plan)
            walls[name].append(wall)
            cpus[name].append(cpu)
            rows.append({"baseline": name, "run": turn, "units": len(plan.units), "wall_seconds": f"{wall:.2f}",
                         "cpu_seconds": f"{cpu:.2f}"})  # fmt: skip
            print(f"run {turn}: {name:20} {wall:6.2f} s wall, {cpu:6.2f} s cpu", flush=True)
        if options.write:
            write(rows)
    for name, baseline in BASELINES.items():
        wall, cpu = share(walls, name), share(cpus, name)
        print(f"dhallmark / {name}: {wall:.3f} wall, {cpu:.3f} cpu\n    {baseline.yields}")
    met = share(walls, "same-data") <= TARGET
    print(f"target: dhallmark / same-data <= {TARGET} wall: {'met' if met else 'MISSED'}")
    return 0 if met else 1


def share(seconds: dict[str, list[float]], name: str) -> float:
    """What dhallmark takes of the seconds that `name` takes; medians."""
    return statistics.median(seconds["dhallmark"]) / statistics.median(seconds[name])


if __name__ == "__main__":
    sys.exit(main())
