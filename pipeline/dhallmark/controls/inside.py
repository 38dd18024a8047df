"""The program that judges one case, inside a network namespace of its own.

`python -m dhallmark.controls.inside CASE RESULT CONSUMER…` brings the loopback device up, gives up every privilege,
serves the case's two layouts there, and asks each consumer about the good artifact, the mutant, and the good artifact
again. It writes RESULT, empty, once the isolation stands, and again after each consumer: whoever started it tells by
that what failed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio

from dhallmark import strictjson
from dhallmark.consumer import Consumer, Target
from dhallmark.control import Kind
from dhallmark.controls.case import GOOD, MUTANT, Case, Side
from dhallmark.controls.consumers import make_consumer
from dhallmark.controls.consumers.files import examine_files
from dhallmark.controls.layout import Layout
from dhallmark.controls.privileges import drop_privileges, limit_resources
from dhallmark.controls.registry import serving
from dhallmark.digest import Digest
from dhallmark.files import write_atomic
from dhallmark.lab.namespace import raise_loopback
from dhallmark.verdict import Verdict


async def judge(case: Case, folder: Path, consumer: Consumer) -> dict[str, object]:
    """The consumer's answers on the good artifact, the mutant, and the good artifact again."""
    answers: dict[str, object] = {"version": consumer.version}
    sides = {name: Side(folder / name) for name in (GOOD, MUTANT)}
    asked = (("before", GOOD, case.good), ("mutant", MUTANT, case.mutant), ("after", GOOD, case.good))
    if case.kind is not Kind.ARTIFACT:
        for when, name, _ in asked:
            answers[when] = _answer(await examine_files(case.kind, sides[name]))
        return answers
    with serving({name: Layout.read(side.artifact) for name, side in sides.items()}) as host:
        for when, name, digest in asked:
            target = Target(
                repository=f"{host}/{name}",
                digest=Digest(digest or ""),
                trusted_root=sides[name].trusted_root,
                policy=sides[name].policy,
                subject_name=case.subject_name,
                plain_http=True,
            )
            with working_in(sides[name].working_directory):
                answers[when] = _answer(await consumer.verify(target))
    return answers


@contextmanager
def working_in(directory: Path) -> Iterator[None]:
    """Make `directory` the working directory for a while, where it is there."""
    before = Path.cwd()
    if directory.is_dir():
        os.chdir(directory)
    try:
        yield
    finally:
        os.chdir(before)


def _answer(verdict: Verdict) -> dict[str, object]:
    reason = verdict.reason
    words = next((check.detail for check in verdict.walk() if check.reason is not None and check.reason is reason), "")
    return {"outcome": verdict.outcome.value, "reason": reason.value if reason else None, "words": words}


def main(arguments: list[str]) -> None:
    """Judge the case that `arguments` name; see the module's docstring."""
    folder, result = Path(arguments[0]), Path(arguments[1])
    raise_loopback()
    drop_privileges()
    limit_resources()
    answers: dict[str, object] = {}
    write_atomic(result, strictjson.dump(answers))
    case = Case.read(folder)
    for name in arguments[2:]:
        answers[name] = anyio.run(judge, case, folder, make_consumer(name))
        write_atomic(result, strictjson.dump(answers))


if __name__ == "__main__":
    main(sys.argv[1:])
