"""What verdicts on many bundles cost, against sigstore-python, cosign and the bare cryptography.

    python bench/verify/bench.py [--sizes 1,100,1000,10000] [--rounds 3] [--quick] [--write]

Every bundle has an artifact, a key and a certificate of its own: a message signature in a bundle v0.3 with an entry of
a Rekor v2 log and a signed timestamp, made by an instance whose keys are here. A tenth is bad, in five ways. All
approaches read the same files, make the same checks (signature, chain, SCT, identity, log, timestamp), and must come to
the same verdict on each; the run fails where they do not. `APPROACHES` says what each does.

They take turns, round by round, and each ratio is the median of the rounds': what else runs meets all of them alike.
Commands have their bytecode, as where they are installed, ours in a checkout too: it is made before.
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
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import anyio
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from dhallmark.config.load import load_policy
from dhallmark.controls.forging.authorities import Forgers, Of
from dhallmark.controls.forging.bundle import Forger, Recipe
from dhallmark.identity import Identity
from dhallmark.lab import trust
from dhallmark.verdict import Outcome
from dhallmark.verify.basis import Basis, verdict_on, verdicts_on
from dhallmark.verify.batch import verify_many
from dhallmark.verify.crew import Crew
from dhallmark.verify.filelist import parse_list
from dhallmark.verify.target import ListTarget

REPOSITORY = Path(__file__).resolve().parents[2]
RESULTS = REPOSITORY / "bench" / "results" / "verify.csv"
SIZES = (1, 100, 1_000, 10_000)
QUICK = (100, 1_000)
ROUNDS = 3
COSIGN_SAMPLE = 100
"""Bundles that cosign is run on, one process each; what more would take is worked out from these."""
COLD_RUNS = 15
TENTH = 10
"""The last of so many bundles is bad."""
VERIFICATIONS = 5
"""ECDSA verifications that no other bundle can stand in for: signature, certificate, SCT, checkpoint, timestamp. That
the authorities' own certificates fit each other is a fact of the trust root."""
SIGNER = Identity(
    issuer="https://token.actions.githubusercontent.com",
    subject="https://github.com/acme/platform/.github/workflows/release.yml@refs/heads/main",
)
GOOD = Recipe(message=True)
BAD: Sequence[Recipe] = (
    GOOD,  # the artifact is changed afterwards
    replace(GOOD, signature=lambda signature: signature[:-1] + bytes([signature[-1] ^ 1])),
    replace(GOOD, identity=lambda identity: replace(identity, subject=identity.subject + "-evil")),
    replace(GOOD, ca=Of.STRANGER),
    replace(GOOD, stamps=()),
)


class Target(NamedTuple):
    """The least that a ratio must be, or the most where `most` is true."""

    name: str
    limit: float
    most: bool = False


@dataclass(frozen=True, slots=True)
class Bundles:
    """A folder of artifacts and bundles, and what to verify them with."""

    folder: Path
    count: int

    @property
    def names(self) -> list[str]:
        return [f"{number}.bin" for number in range(self.count)]

    def read(self, name: str) -> tuple[bytes, str]:
        """The artifact and the bundle of a name."""
        return (self.folder / name).read_bytes(), (self.folder / f"{name}.sigstore.json").read_text()

    def listing(self, count: int) -> bytes:
        """The first `count` as a list for --files-from."""
        return "".join(
            f"{self.folder / name}.sigstore.json\t{self.folder / name}\n" for name in self.names[:count]
        ).encode()

    @classmethod
    def make(cls, folder: Path, count: int) -> Bundles:
        forgers = Forgers.make()
        forger = Forger(forgers)
        for number in range(count):
            artifact, bad = b"artifact %d\n" % number, number % TENTH == TENTH - 1
            recipe = BAD[number // TENTH % len(BAD)] if bad else GOOD
            bundle = forger.bundle(artifact, SIGNER, recipe)
            changed = bad and recipe is GOOD
            (folder / f"{number}.bin").write_bytes(artifact + (b"!" if changed else b""))
            (folder / f"{number}.bin.sigstore.json").write_bytes(bundle)
        root = forgers.trusted_roots[0]
        (folder / "root.json").write_text(json.dumps(root))
        url = "https://bench.test"
        signing = trust.signing_config(fulcio=url, oidc=url, rekor=url, timestamp=url, start=datetime.now(UTC))
        (folder / "config.json").write_text(json.dumps(trust.trust_config(root, signing)))
        (folder / "policy.yaml").write_text(
            "schemaVersion: 1\n"
            f"identities: {{release: {{issuer: '{SIGNER.issuer}', subject: '{SIGNER.subject}'}}}}\n"
            "signature: {identities: [release]}\n"
        )
        return cls(folder, count)


@dataclass(slots=True)
class Run:
    """What one approach did with the first bundles."""

    accepted: list[bool]
    """The verdict on each bundle that was looked at; none of an approach that gives none."""
    wall: float
    cpu: float
    peak: float = 0.0
    """MiB of all its processes together, at most; 0 where it is not measured."""
    count: int = 0
    """Bundles that were looked at."""
    load: float = field(default_factory=lambda: os.getloadavg()[0])
    """Of the machine, when it ended: what ran or waited in the last minute."""

    @property
    def each(self) -> float:
        """Seconds for one bundle."""
        return self.wall / self.count

    @property
    def cpu_each(self) -> float:
        """Seconds of processor time for one bundle."""
        return self.cpu / self.count


def cpu_seconds(*, own: bool = True) -> float:
    """Processor time of the processes that this one waited for, and its own."""
    times = os.times()
    return times.children_user + times.children_system + (times.user + times.system if own else 0)


def timed(work: Callable[[], list[bool]]) -> Run:
    cpu, start = cpu_seconds(), time.perf_counter()
    accepted = work()
    return Run(accepted, time.perf_counter() - start, cpu_seconds() - cpu)


@dataclass(slots=True)
class Memory:
    """Watches how much memory a process and those below it have at once."""

    pid: int
    peak: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        while not self._stop.wait(0.1):
            self.peak = max(self.peak, sum(_resident(pid) for pid in _family(self.pid)))

    def stop(self) -> None:
        self._stop.set()


def _family(pid: int) -> list[int]:
    found = [pid]
    for one in found:
        try:
            for task in Path(f"/proc/{one}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            continue
    return found


def _resident(pid: int) -> int:
    """Resident KiB, pages that are shared with others counted in full."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def environment(bundles: Bundles) -> dict[str, str]:
    """For commands of Python: ours is found, and whatever they load has its bytecode beside the bundles."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    prefix = str(bundles.folder / "bytecode")
    return {**kept, "PYTHONPATH": str(REPOSITORY / "pipeline"), "PYTHONPYCACHEPREFIX": prefix}


def dhallmark_command(bundles: Bundles, count: int) -> Run:
    """A whole run of the command: start, policy, trust root, verdicts, and the JSON with every check."""
    output = bundles.folder / "verdicts.json"
    (bundles.folder / "list").write_bytes(bundles.listing(count))
    words = ["--policy=policy.yaml", "--trusted-root=root.json", "--files-from=list", "--output=json", "--quiet"]
    cpu, start = cpu_seconds(own=False), time.perf_counter()
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "dhallmark", "verify", *words],
            cwd=bundles.folder,
            env=environment(bundles),
            stdout=file,
        )
    memory = Memory(process.pid)
    watcher = threading.Thread(target=memory.watch)
    watcher.start()
    process.wait()
    run = Run([], time.perf_counter() - start, cpu_seconds(own=False) - cpu)
    memory.stop()
    watcher.join()
    run.peak = memory.peak / 1024
    run.accepted = [one["outcome"] == "accepted" for one in json.loads(output.read_bytes())["verdicts"]]
    return run


def _processor(pids: Collection[int]) -> float:
    """Processor seconds of this process and of `pids` so far."""
    ticks = 0
    for pid in pids:
        # The name, which may hold anything, stands in brackets before the numbers (proc_pid_stat(5)).
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def dhallmark_warm(bundles: Bundles, count: int, *, workers: int) -> Run:
    """The library, ready: processes run, policy and trust root are read."""

    async def main() -> Run:
        basis = Basis.load(load_policy(bundles.folder / "policy.yaml"), bundles.folder / "root.json")
        async with Crew(basis, workers=workers, pays=0) as crew:
            crew.expect(1)
            while len(crew.pids) < crew.workers:  # noqa: ASYNC110 - nobody tells
                await anyio.sleep(0.01)
            _, warm = parse_list(bundles.listing(min(count, 64)), file="list")
            _ = [one async for one in verify_many([ListTarget("list", 64, warm)], crew)]
            start, cpu = time.perf_counter(), _processor(crew.pids)
            listed, targets = parse_list(bundles.listing(count), file="list")
            found = [one async for one in verify_many([ListTarget("list", listed, targets)], crew)]
            wall, cpu = time.perf_counter() - start, _processor(crew.pids) - cpu
            found.sort(key=lambda judged: judged.number)
            return Run([one.outcome is Outcome.ACCEPTED for one in found], wall, cpu)

    return anyio.run(main)


def dhallmark_loop(bundles: Bundles, count: int) -> Run:
    """The library on one core, ready: the cost of a verdict, without what it takes to pass it on."""
    judge = Basis.load(load_policy(bundles.folder / "policy.yaml"), bundles.folder / "root.json").judge()
    _, warm = parse_list(bundles.listing(1), file="list")
    for target in warm:
        verdict_on(target, judge)

    def work() -> list[bool]:
        _, targets = parse_list(bundles.listing(count), file="list")
        return [verdict.outcome is Outcome.ACCEPTED for verdict in verdicts_on(list(targets), judge)]

    return timed(work)


def sigstore_loop(bundles: Bundles, count: int) -> Run:
    """sigstore-python's `Verifier` in a loop, ready."""
    from sigstore.errors import Error
    from sigstore.models import Bundle, TrustedRoot
    from sigstore.verify import Verifier
    from sigstore.verify.policy import Identity as Wanted

    verifier = Verifier(trusted_root=TrustedRoot.from_file(str(bundles.folder / "root.json")))
    wanted = Wanted(identity=SIGNER.subject, issuer=SIGNER.issuer)

    def verify(name: str) -> bool:
        artifact, bundle = bundles.read(name)
        try:
            verifier.verify_artifact(artifact, Bundle.from_json(bundle), wanted)
        except Error:
            return False
        return True

    verify(bundles.names[0])
    return timed(lambda: [verify(name) for name in bundles.names[:count]])


def cosign_loop(bundles: Bundles, count: int) -> Run:
    """A run of `cosign verify-blob` for each of the first bundles."""

    def verify(name: str) -> bool:
        words = ["--bundle", f"{name}.sigstore.json", "--trusted-root", "root.json", "--use-signed-timestamps"]
        signer = ["--certificate-identity", SIGNER.subject, "--certificate-oidc-issuer", SIGNER.issuer]
        done = subprocess.run(
            ["cosign", "verify-blob", *words, *signer, name],
            cwd=bundles.folder,
            env={"PATH": os.environ["PATH"], "HOME": str(bundles.folder)},
            capture_output=True,
            check=False,
        )
        return done.returncode == 0

    return timed(lambda: [verify(name) for name in bundles.names[: min(count, COSIGN_SAMPLE)]])


def bare_cryptography(_bundles: Bundles, count: int) -> Run:
    """The ECDSA verifications of as many bundles, and nothing else: keys read, digests made."""
    key = ec.generate_private_key(ec.SECP256R1())
    scheme = ec.ECDSA(utils.Prehashed(hashes.SHA256()))
    signed = [(digest, key.sign(digest, scheme)) for digest in (os.urandom(32) for _ in range(VERIFICATIONS))]
    public = key.public_key()

    def work() -> list[bool]:
        for _ in range(count):
            for digest, signature in signed:
                public.verify(signature, digest, scheme)
        return []

    return timed(work)


APPROACHES: dict[str, Callable[[Bundles, int], Run]] = {
    "dhallmark-command": dhallmark_command,
    "dhallmark-warm": lambda bundles, count: dhallmark_warm(bundles, count, workers=2),
    "dhallmark-loop": dhallmark_loop,
    "sigstore-python": sigstore_loop,
    "cosign": cosign_loop,
    "cryptography": bare_cryptography,
}


def cold_start(bundles: Bundles, rounds: int) -> dict[str, list[Run]]:
    """Runs of each command for one good bundle, in turns; the first of each, which makes the bytecode, is not told."""
    words = {
        "dhallmark": [
            *["-m", "dhallmark", "verify", "0.bin", "--policy=policy.yaml", "--trusted-root=root.json"],
            *["--output=json", "--quiet"],
        ],
        "sigstore": [
            *["-m", "sigstore", "--trust-config", "config.json", "verify", "identity", "--offline"],
            *["--bundle", "0.bin.sigstore.json", "--cert-identity", SIGNER.subject],
            *["--cert-oidc-issuer", SIGNER.issuer, "0.bin"],
        ],
    }
    found: dict[str, list[Run]] = {name: [] for name in words}
    for _ in range(rounds + 1):
        for name, arguments in words.items():
            cpu, start = cpu_seconds(own=False), time.perf_counter()
            subprocess.run(
                [sys.executable, *arguments],
                cwd=bundles.folder,
                env=environment(bundles),
                capture_output=True,
                check=True,
            )
            wall, cpu = time.perf_counter() - start, cpu_seconds(own=False) - cpu
            found[name].append(Run([], wall, cpu, count=1))
    return {name: runs[1:] for name, runs in found.items()}


def compare(runs: dict[str, Run], count: int) -> None:
    """End where two approaches disagree on a bundle."""
    expected = [number % TENTH != TENTH - 1 for number in range(count)]
    for name, run in runs.items():
        looked_at = len(run.accepted)
        if looked_at and run.accepted != expected[:looked_at]:
            wrong = next(n for n, (one, other) in enumerate(zip(run.accepted, expected, strict=False)) if one != other)
            raise SystemExit(f"{name}: another verdict on {wrong}.bin than expected")


Rounds = dict[str, list[Run]]
"""The runs of each approach, round by round."""


def measure(bundles: Bundles, count: int, rounds: int) -> Rounds:
    """All approaches on the first `count` bundles, in turns."""
    found: Rounds = {approach: [] for approach in APPROACHES}
    for number in range(rounds):
        runs: dict[str, Run] = {}
        for approach, work in APPROACHES.items():
            run = runs[approach] = work(bundles, count)
            run.count = len(run.accepted) or count
            found[approach].append(run)
            print(
                f"{count:6} round {number + 1} {approach:18} {run.wall:9.3f} s {run.each * 1e3:9.3f} ms each, "
                f"{run.cpu_each * 1e3:.3f} ms of processor time, load {run.load:.1f}",
                flush=True,
            )
        compare(runs, count)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Verdicts on many bundles, against sigstore-python and cosign.")
    parser.add_argument("--sizes", help="how many bundles, several with commas")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often each approach takes its turn")
    parser.add_argument("--quick", action="store_true", help=f"the sizes {QUICK} and few cold starts")
    parser.add_argument("--write", action="store_true", help=f"keep the raw results in {RESULTS.name}")
    options = parser.parse_args()
    chosen = map(int, options.sizes.split(",")) if options.sizes else QUICK if options.quick else SIZES
    sizes = sorted(chosen)
    with tempfile.TemporaryDirectory(prefix="dhallmark-bench-") as name:
        bundles = Bundles.make(Path(name), max(sizes))
        cold = cold_start(bundles, 5 if options.quick else COLD_RUNS)
        found = {count: measure(bundles, count, options.rounds) for count in sizes}
    if options.write:
        write(rows(found, cold))
    return judge(found, cold)


def ratio(slow: Sequence[Run], fast: Sequence[Run], cost: Callable[[Run], float]) -> float:
    """How many times the one costs the other: the median of the rounds."""
    return statistics.median(cost(one) / cost(other) for one, other in zip(slow, fast, strict=True))


wall, cpu = attrgetter("each"), attrgetter("cpu_each")
"""What a run costs for each bundle."""


def judge(found: dict[int, Rounds], cold: Rounds) -> int:
    """Print the ratios of the largest size, and 1 where one misses its target by the time that a user waits."""
    largest = max(found)
    runs = found[largest]
    smaller = max((size for size in found if size < largest), default=largest)

    command, sigstore, cosign = runs["dhallmark-command"], runs["sigstore-python"], runs["cosign"]
    warm, linear = runs["dhallmark-warm"], (command, found[smaller]["dhallmark-command"])
    told = [
        # Two cores: half of ours is what a machine that does nothing else would let a user wait.
        (Target("sigstore-python in a warm loop / dhallmark warm", 4), sigstore, warm, 2),
        (Target("cosign verify-blob / dhallmark command", 80), cosign, command, 2),
        (Target("cold start: dhallmark / sigstore", 0.7, most=True), cold["dhallmark"], cold["sigstore"], 1),
        (Target(f"cost of one at {largest} / at {smaller}: linear", 1.1, most=True), *linear, 1),
    ]
    missed = 0
    for target, slow, fast, cores in told:
        value = ratio(slow, fast, wall)
        missed += not _tell(target, value, f"; by processor time {cores * ratio(slow, fast, cpu):.2f}")
    whole = ratio(sigstore, command, wall)
    print(f"       sigstore-python in a warm loop / the whole command, with its start and its document: {whole:.2f}")
    peak = max(run.peak for run in command)
    missed += not _tell(Target(f"peak memory at {largest} in MiB", 250, most=True), peak, "")
    bare = ratio(runs["dhallmark-loop"], runs["cryptography"], cpu)
    print(f"one core, processor time: dhallmark / bare cryptography: {bare:.2f}")
    return 1 if missed else 0


def _tell(target: Target, value: float, more: str) -> bool:
    met = value <= target.limit if target.most else value >= target.limit
    sign = "<=" if target.most else ">="
    print(f"{'met   ' if met else 'MISSED'} {target.name}: {value:.2f} ({sign} {target.limit}){more}")
    return met


def rows(found: dict[int, Rounds], cold: Rounds) -> list[dict[str, object]]:
    """A row for each run."""
    all_runs = [(f"cold-{name}", 1, runs) for name, runs in cold.items()]
    all_runs += [(approach, count, runs) for count, rounds in found.items() for approach, runs in rounds.items()]
    return [
        {
            "approach": approach,
            "bundles": count,
            "round": number,
            "measured": run.count,
            "wall_seconds": f"{run.wall:.4f}",
            "cpu_seconds": f"{run.cpu:.4f}",
            "ms_each": f"{run.each * 1e3:.3f}",
            "cpu_ms_each": f"{run.cpu_each * 1e3:.3f}",
            "peak_mib": f"{run.peak:.0f}" if run.peak else "",
            "load": f"{run.load:.1f}",
        }
        for approach, count, runs in all_runs
        for number, run in enumerate(runs, start=1)
    ]


def write(table: list[dict[str, object]]) -> None:
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    with RESULTS.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)


if __name__ == "__main__":
    sys.exit(main())
