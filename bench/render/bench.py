"""What rendering a release costs, against separate `dhall` runs of the same units.

    python bench/render/bench.py [--repeat 3] [--write]

Every approach gets the same units (all applications in all environments of `examples/platform`), the same `dhall`, and
the remote import's cache entry, so that none needs the network. The approaches:

- `dhallmark`: `dhallmark resolve` and `dhallmark render`, two processes started from nothing with an empty cache:
  normal forms, the record of all imports with their hashes, and charts with their umbrellas.
- `separate`: what a user without dhallmark runs for the same data. For each unit `dhall hash`, `dhall resolve` of the
  unit pinned by that hash (which leaves the encoded normal form in the cache), and
  `dhall resolve --transitive-dependencies`; then once for each import `dhall hash`, for the record of imports.
  One cache for all, warmed before the clock starts.
- `separate-forms`: the first two of these, without any record of imports.
- `separate-print`: for each unit `dhall`, which prints the normal form; neither readable data nor a record of imports.
- `separate-hash`: for each unit `dhall hash --cache` alone, the least that gives a normal form; no record of imports.

The separate runs yield no charts, which is left out of their cost. Approaches take turns, so that a busy machine is
busy for all. `cpu_seconds` is what all processes of the approach used.
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

from dhallmark.config.load import load_config
from dhallmark.plan import Plan, make_plan
from dhallmark.render.resolve import unit_expression

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLE = REPOSITORY / "examples" / "platform"
PACKAGE = REPOSITORY / "examples" / "packages" / "labels" / "v1.2.0" / "package.dhall"
PACKAGE_HASH = (EXAMPLE / "lib" / "labels.dhall").read_text().split()[-1]
RESULTS = REPOSITORY / "bench" / "results" / "render.csv"
TARGET = 0.2
"""Most that `dhallmark` may cost, as a share of `separate`."""


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


def separate_forms(plan: Plan, work: Path, seed: Path) -> None:
    for index, unit in enumerate(plan.units):
        expression = unit_expression(plan, unit)
        digest = dhall("hash", cache=seed, source=expression).decode().strip()
        # An import can be pinned, an expression cannot: the unit becomes a file, with its imports where they stand.
        wrapper = work / f"{index}.dhall"
        wrapper.write_text(expression.replace("./", f"{EXAMPLE}/"))
        dhall("resolve", cache=seed, source=f"{wrapper} {digest}")
        if not (seed / "dhall" / f"1220{digest.removeprefix('sha256:')}").is_file():
            raise SystemExit(f"no normal form of {unit.path}")


def separate(plan: Plan, work: Path, seed: Path) -> None:
    separate_forms(plan, work, seed)
    imports: set[str] = set()
    for unit in plan.units:
        expression = unit_expression(plan, unit)
        imports |= set(
            dhall("resolve", "--transitive-dependencies", cache=seed, source=expression).decode().splitlines()
        )
    for name in sorted(imports):
        if not name.lstrip().startswith("sha256:"):  # the second line of a frozen import
            digest = "" if name.startswith("./") else PACKAGE_HASH
            dhall("hash", cache=seed, source=f"{name} {digest}")


def separate_print(plan: Plan, _work: Path, seed: Path) -> None:
    for unit in plan.units:
        dhall(cache=seed, source=unit_expression(plan, unit))


def separate_hash(plan: Plan, _work: Path, seed: Path) -> None:
    for unit in plan.units:
        dhall("hash", "--cache", cache=seed, source=unit_expression(plan, unit))


APPROACHES: dict[str, Callable[[Plan, Path, Path], None]] = {
    "dhallmark": dhallmark,
    "separate": separate,
    "separate-forms": separate_forms,
    "separate-print": separate_print,
    "separate-hash": separate_hash,
}


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
    parser = argparse.ArgumentParser(description="Rendering a release against separate runs of dhall.")
    parser.add_argument("--repeat", type=int, default=3, help="turns that each approach takes")
    parser.add_argument("--write", action="store_true", help=f"keep the raw results in {RESULTS.name}")
    options = parser.parse_args()
    plan = make_plan(load_config(EXAMPLE / "dhallmark.yaml"))
    rows: list[dict[str, object]] = []
    walls: dict[str, list[float]] = {name: [] for name in APPROACHES}
    for turn in range(1, options.repeat + 1):
        for name, run in APPROACHES.items():
            wall, cpu = measure(run, plan)
            walls[name].append(wall)
            rows.append({"turn": turn, "approach": name, "units": len(plan.units), "wall_seconds": f"{wall:.2f}",
                         "cpu_seconds": f"{cpu:.2f}"})  # fmt: skip
            print(f"turn {turn}: {name:15} {wall:6.2f} s wall, {cpu:6.2f} s cpu", flush=True)
        if options.write:
            write(rows)
    ours = statistics.median(walls["dhallmark"])
    for name in list(APPROACHES)[1:]:
        print(f"dhallmark / {name} = {ours / statistics.median(walls[name]):.3f}")
    ratio = ours / statistics.median(walls["separate"])
    print(f"target: dhallmark / separate <= {TARGET}: {'met' if ratio <= TARGET else 'MISSED'}")
    return 0 if ratio <= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
