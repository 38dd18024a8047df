"""Flux as a consumer: what source-controller decides about an OCIRepository, by its own verification code."""

from __future__ import annotations

import json
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Final

from dhallmark.consumer import Target
from dhallmark.controls.consumers.dialect import FLUX_1_8, FLUX_1_9
from dhallmark.controls.consumers.flux_answers import read_answer
from dhallmark.controls.consumers.flux_question import Question, deployment
from dhallmark.controls.consumers.program import ask_version, run_program
from dhallmark.errors import Error
from dhallmark.reasons import Reason
from dhallmark.verdict import Check, Verdict

_CONTROLLER: Final = "github.com/fluxcd/source-controller"


class FluxConsumer:
    """Asks `flux-verify`, a program around source-controller's packages."""

    def __init__(self, name: str, program: str, *, names_trust_root: bool) -> None:
        """`program` is a path, or a name on PATH; `names_trust_root`: whether an OCIRepository can name one."""
        self._name = name
        self._program = program
        self._names_trust_root = names_trust_root

    @property
    def name(self) -> str:
        return self._name

    @cached_property
    def version(self) -> str:
        try:
            return str(json.loads(ask_version(self._program, "--version"))[_CONTROLLER])
        except (Error, ValueError, KeyError, TypeError):
            return "unknown"

    async def verify(self, target: Target) -> Verdict:
        reference = f"{target.repository}@{target.digest}"
        try:
            return Verdict.of(reference, checks=[await self._ask(target)])
        except (Error, OSError) as error:
            check = Check(name="flux", reason=Reason.CONSUMER_UNAVAILABLE, detail=str(error))
            return Verdict.of(reference, checks=[check])

    async def _ask(self, target: Target) -> Check:
        question = self.question(target)
        with tempfile.TemporaryDirectory(prefix="dhallmark-flux-") as folder:
            home = Path(folder)
            with deployment(question.deployed_root, home) as variables:
                done = await run_program(self._program, (), home=home, stdin=as_json(question), variables=variables)
        return read_answer(done.status, done.stdout, done.stderr)

    def question(self, target: Target) -> Question:
        """What the program is asked about `target`. Raises as `Question.about`."""
        return Question.about(target, names_trust_root=self._names_trust_root)


def as_json(question: Question) -> bytes:
    """A question as `flux-verify` reads it."""
    return json.dumps({"source": question.source, "secrets": question.secrets}).encode()


def flux_1_8(program: str) -> FluxConsumer:
    """Flux 2.8's source-controller."""
    return FluxConsumer(FLUX_1_8, program or "flux-verify-1.8", names_trust_root=False)


def flux_1_9(program: str) -> FluxConsumer:
    """Flux 2.9's source-controller."""
    return FluxConsumer(FLUX_1_9, program or "flux-verify-1.9", names_trust_root=True)
