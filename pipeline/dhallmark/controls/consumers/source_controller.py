"""Flux's source-controller itself as a consumer, beside an API server: what it writes into the status is its answer.

It is asked what `flux-verify` is asked, in the way of a cluster: the Secrets and the OCIRepository are created, and its
conditions are read once it has come to an end with them. kube-apiserver, etcd and the controller are started for the
judgement and end with it; nothing of them is shared between two.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread

from dhallmark.consumer import Consumer, Target
from dhallmark.controls.consumers.dialect import SOURCE_CONTROLLER_1_8, SOURCE_CONTROLLER_1_9
from dhallmark.controls.consumers.flux_question import Question, deployment
from dhallmark.controls.consumers.program import TIMEOUT, find_program
from dhallmark.controls.consumers.source_controller_answers import read_conditions
from dhallmark.errors import Error, ToolError
from dhallmark.gitops.lint.fields import Flux
from dhallmark.kubernetes import apply
from dhallmark.kubernetes.api import ApiError
from dhallmark.kubernetes.buildinfo import read_build_info
from dhallmark.kubernetes.crds import definitions_of
from dhallmark.kubernetes.servers import Access, running_api_server
from dhallmark.kubernetes.source_controller import PROGRAM, await_end, running_source_controller
from dhallmark.reasons import Reason
from dhallmark.verdict import Check, Verdict

_MODULE: Final = "github.com/fluxcd/source-controller"
_GROUP: Final = "source.toolkit.fluxcd.io"
_START_SECONDS: Final = 60.0
"""On top of an answer's own time, where the controller has just been started: first it reads what is there."""
_REFUSED: Final = range(400, 500)
_MAX_LOG: Final = 2000


class SourceControllerConsumer:
    """Asks a source-controller that works on the object."""

    def __init__(self, name: str, program: str, *, flux: Flux, names_trust_root: bool) -> None:
        """`program` is a path, or a name on PATH; `flux` has the definitions; `names_trust_root` as for flux-verify."""
        self._name = name
        self._program = program
        self._flux = flux
        self._names_trust_root = names_trust_root

    @property
    def name(self) -> str:
        return self._name

    @cached_property
    def version(self) -> str:
        """As the program itself tells; with what was compiled in the place of a released module, if anything was."""
        try:
            info = read_build_info(Path(find_program(self._program)))
        except (Error, OSError):
            return "unknown"
        version = info.version_of(_MODULE) or "unknown"
        return f"{version} ({info.substitution})" if info.substitution else version

    async def verify(self, target: Target) -> Verdict:
        try:
            async with self.running() as asked:
                return await asked.verify(target)
        except (Error, OSError) as error:
            return _unavailable(target, error)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Consumer]:
        """With an API server that has the definitions of Flux; the controller is started with the first question."""
        program = self._find()
        with tempfile.TemporaryDirectory(prefix=f"dhallmark-{PROGRAM}-", ignore_cleanup_errors=True) as folder:
            stack = ExitStack()
            try:
                access = await anyio.to_thread.run_sync(
                    stack.enter_context, _api_server(Path(folder) / "cluster", self._flux)
                )
                cluster = _Cluster(consumer=self, program=program, access=access, folder=Path(folder))
                stack.callback(cluster.stop)
                yield cluster
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(stack.close)

    def question(self, target: Target) -> Question:
        """What the controller is asked about `target`. Raises as `Question.about`."""
        return Question.about(target, names_trust_root=self._names_trust_root)

    def _find(self) -> str:
        """The path of the program. Raises ToolError where it is not there, or says that it is of another version."""
        wanted = self._name.removeprefix(f"{PROGRAM}-")
        if self.version != "unknown" and not self.version.startswith(f"{wanted}."):
            raise ToolError(f"{self._program} is source-controller {self.version}, and not {wanted}")
        return find_program(self._program)


def source_controller_1_8(program: str) -> SourceControllerConsumer:
    """Flux 2.8's source-controller."""
    return SourceControllerConsumer(
        SOURCE_CONTROLLER_1_8, program or "source-controller-1.8", flux=Flux.V2_8, names_trust_root=False
    )


def source_controller_1_9(program: str) -> SourceControllerConsumer:
    """Flux 2.9's source-controller."""
    return SourceControllerConsumer(SOURCE_CONTROLLER_1_9, program or PROGRAM, flux=Flux.V2_9, names_trust_root=True)


@contextmanager
def _api_server(folder: Path, flux: Flux) -> Iterator[Access]:
    """An API server that knows sources. Raises ToolError, UnavailableError."""
    folder.mkdir(mode=0o700)
    with running_api_server(folder) as access:
        apply.define(access.api, [one for one in definitions_of(flux).objects if one["spec"]["group"] == _GROUP])
        yield access


@dataclass(frozen=True, slots=True, kw_only=True)
class _Deployment:
    """A controller that runs."""

    root: bytes | None
    """The trust root that it was deployed with."""
    folder: Path
    still: Callable[[], bool]


@dataclass(slots=True, kw_only=True)
class _Cluster:
    """An API server, and beside it the controller, deployed anew for each trust root that a deployment must have."""

    consumer: SourceControllerConsumer
    program: str
    access: Access
    folder: Path
    _deployment: _Deployment | None = field(default=None, init=False)
    _stack: ExitStack = field(default_factory=ExitStack, init=False)
    _numbers: Iterator[int] = field(default_factory=itertools.count, init=False)

    @property
    def name(self) -> str:
        return self.consumer.name

    @property
    def version(self) -> str:
        return self.consumer.version

    async def verify(self, target: Target) -> Verdict:
        try:
            check = await anyio.to_thread.run_sync(self._ask, target)
        except (Error, OSError) as error:
            return _unavailable(target, error)
        return Verdict.of(_reference(target), checks=[check])

    def stop(self) -> None:
        """Stop the controller, if one runs."""
        self._deployment = None
        self._stack.close()

    def _ask(self, target: Target) -> Check:
        """Raises ToolError, UnavailableError, and what `Question.about` raises."""
        question = self.consumer.question(target)
        seconds = TIMEOUT
        if self._deployment is None or self._deployment.root != question.deployed_root:
            self._deployment = self._deploy(question.deployed_root)
            seconds += _START_SECONDS
        api, number = self.access.api, next(self._numbers)
        try:
            apply.make_namespace(api, f"question-{number}", secrets=question.secrets)
            path = apply.create(api, as_created(question, f"question-{number}"))
        except ApiError as error:
            if error.status not in _REFUSED:
                raise
            return Check(name=PROGRAM, reason=Reason.CONSUMER_UNREADABLE, detail=error.message)
        status = await_end(api, path, still=self._deployment.still, folder=self._deployment.folder, seconds=seconds)
        # A controller never gives up; what it says later is no answer any more, and takes time from the next one.
        api.merge(path, {"spec": {"suspend": True}})
        return read_conditions(status["conditions"])

    def _deploy(self, root: bytes | None) -> _Deployment:
        self.stop()
        folder = Path(tempfile.mkdtemp(prefix="deployment-", dir=self.folder))
        variables = self._stack.enter_context(deployment(root, folder))
        still = self._stack.enter_context(
            running_source_controller(self.program, folder, kubeconfig=self.access.kubeconfig, variables=variables)
        )
        return _Deployment(root=root, folder=folder, still=still)


def as_created(question: Question, namespace: str) -> Mapping[str, Any]:
    """The object as it is created: one that is at work, whatever it is called in the user's cluster."""
    spec = {key: value for key, value in question.source["spec"].items() if key != "suspend"}
    api_version = str(question.source.get("apiVersion", ""))
    metadata = {"name": "release", "namespace": namespace}
    return {"apiVersion": api_version, "kind": question.source["kind"], "metadata": metadata, "spec": spec}


def _reference(target: Target) -> str:
    return f"{target.repository}@{target.digest}"


def _unavailable(target: Target, error: Exception) -> Verdict:
    log = getattr(error, "stderr", "")[-_MAX_LOG:]
    check = Check(name=PROGRAM, reason=Reason.CONSUMER_UNAVAILABLE, detail=f"{error}\n{log}".strip())
    return Verdict.of(_reference(target), checks=[check])
