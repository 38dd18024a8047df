"""Group "chart, Dhall, rebuild": what is signed, or is about to be, is itself an attack."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable

from dhallmark.control import Control, Group, Kind, Mutation, NotApplicableError
from dhallmark.controls.catalogue.expected import DHALLMARK, by_all, only, rejected
from dhallmark.controls.forge import Bench, only_layer
from dhallmark.controls.layouts import INSPECTED
from dhallmark.controls.mutations import retargeted
from dhallmark.digest import Digest
from dhallmark.errors import FormatError
from dhallmark.files import write_atomic
from dhallmark.package.reader import DEFAULT_LIMITS, read_archive
from dhallmark.reasons import Reason

Attack = Callable[[tarfile.TarFile], None]

_CONFIG = b"""\
schemaVersion: 1
project: control
version: 1.0.0
source: {repository: https://git.forge.test/control}
layers: [apps]
environments: {prod: {}}
applications: {web: {entry: web.dhall, layer: apps}}
publish: {registry: registry.forge.test, repository: control/charts, staging: control/staging}
policy: policy.yaml
"""
_ENTRY = '[ { apiVersion = "v1", kind = "ConfigMap", metadata.name = "web", data.motto = %s } ]\n'
_HUGE = """\
let eight = \\(x : Text) -> x ++ x ++ x ++ x ++ x ++ x ++ x ++ x
let many = \\(x : Text) -> eight (eight (eight (eight (eight (eight (eight (eight (eight x))))))))
in  many (many "x")
"""


def _packed(attack: Attack) -> Mutation:
    """The good artifact with its chart packed again after `attack`, and all statements signed anew about that."""

    async def mutate(bench: Bench) -> Digest:
        layer = only_layer(bench.original.layout, bench.good).digest
        digest = await bench.forge.rebuild(lambda content: _pack(content, attack))
        other = only_layer(bench.forge.layout, digest).digest
        for one in bench.signed:
            payload = retargeted(retargeted(one.statement.payload, bench.good, digest), layer, other)
            await bench.forge.attach(digest, bench.forge.sign(payload, one.identity))
        return digest

    return mutate


def _pack(content: bytes, attack: Attack) -> bytes:
    try:
        files = read_archive(content, what="the layer")
    except FormatError as error:
        raise NotApplicableError(f"the artifact's first layer is no archive that charts come in: {error}") from error
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, body in sorted(files.items()):
            _add(archive, name, body)
        attack(archive)
    return gzip.compress(buffer.getvalue(), mtime=0)


def _add(archive: tarfile.TarFile, name: str, body: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(body)
    archive.addfile(member, io.BytesIO(body))


def _nothing(_: tarfile.TarFile) -> None:
    pass


def _file(name: str) -> Attack:
    return lambda archive: _add(archive, name, b"attack")


def _special(kind: bytes, target: str = "") -> Attack:
    def attack(archive: tarfile.TarFile) -> None:
        member = tarfile.TarInfo("attack")
        member.type, member.linkname = kind, target
        archive.addfile(member)

    return attack


def _twice(archive: tarfile.TarFile) -> None:
    name = archive.getnames()[0]
    _add(archive, name, b"attack")


def _bomb(archive: tarfile.TarFile) -> None:
    _add(archive, "attack", bytes(DEFAULT_LIMITS.expanded))


def _project(motto: str, other: str = '"hello"') -> Mutation:
    """A project of one ConfigMap that takes its motto from the expression `motto`, beside a file `motto.dhall`."""

    async def mutate(bench: Bench) -> None:
        folder = bench.forge.files
        if folder is None:
            raise NotApplicableError("a project is files")
        write_atomic(folder / "dhallmark.yaml", _CONFIG)
        write_atomic(folder / "policy.yaml", "# None is read here.\n")
        write_atomic(folder / "web.dhall", _ENTRY % motto)
        write_atomic(folder / "motto.dhall", f"{other}\n")

    return mutate


CONTROLS = (
    *(
        Control(
            id=f"H1-{name}",
            group=Group.CHART,
            title=f"a chart archive with {what}, signed by the right identity, under a layout that looks into it",
            flaw="An archive that writes outside of its folder, or fills the disk (CVE-2026-35204, CVE-2026-35206).",
            mutate=INSPECTED.mutation(_packed(attack)),
            good=INSPECTED.mutation(_packed(_nothing)),
            expect=by_all(Reason.LAYOUT_INSPECTION),
        )
        for name, what, attack in (
            ("parent", "`../`", _file("../attack")),
            ("absolute", "an absolute path", _file("/etc/attack")),
            ("symlink", "a symbolic link", _special(tarfile.SYMTYPE, "/etc/passwd")),
            ("hardlink", "a hard link", _special(tarfile.LNKTYPE, "/etc/passwd")),
            ("device", "a device", _special(tarfile.CHRTYPE)),
            ("twice", "two files of one name", _twice),
            ("bomb", f"{DEFAULT_LIMITS.expanded >> 20} MiB of zeros", _bomb),
        )
    ),
    *(
        Control(
            id=name,
            group=Group.CHART,
            title=f"Dhall sources with {what}",
            flaw=flaw,
            kind=Kind.PROJECT,
            mutate=_project(motto, other),
            good=_project("./motto.dhall"),
            expect=only(DHALLMARK, rejected(reason)),
        )
        for name, what, motto, other, flaw, reason in (
            (
                "H2-hash",
                "an import that changed since it was frozen",
                f"./motto.dhall sha256:{'0' * 64}",
                '"hello"',
                "A package that its owner changed, or whoever took its place.",
                Reason.IMPORT_HASH_MISMATCH,
            ),
            (
                "H2-unfrozen",
                "a remote import that is not frozen",
                "https://packages.forge.test/motto.dhall",
                '"hello"',
                "A package that may be another one tomorrow.",
                Reason.IMPORT_UNFROZEN,
            ),
            (
                "H2-env",
                "an import from the environment",
                "env:HOME as Text",
                '"hello"',
                "A release that depends on the machine, and carries its secrets.",
                Reason.IMPORT_FORBIDDEN,
            ),
            (
                "H2-missing",
                "an import that never resolves",
                "(missing ? ./motto.dhall)",
                '"hello"',
                "An alternative that is taken where the network, or the attacker, is different.",
                Reason.IMPORT_FORBIDDEN,
            ),
            (
                "H2-outside",
                "an import from outside of the project",
                "../../../etc/passwd as Text",
                '"hello"',
                "A release that depends on the machine, and carries its secrets.",
                Reason.IMPORT_FORBIDDEN,
            ),
            (
                "H3-cycle",
                "imports in a circle",
                "./motto.dhall",
                "./web.dhall",
                "A build that does not end.",
                Reason.IMPORT_CYCLE,
            ),
            (
                "H3-type",
                "a type error",
                "./motto.dhall",
                '1 + "x"',
                "A build that goes on with half of its input.",
                Reason.RENDER_INVALID,
            ),
            (
                "H3-huge",
                "an expression of a few lines that is beyond any memory when normalised",
                "./motto.dhall",
                _HUGE,
                "A build that takes its machine down.",
                Reason.RENDER_TOO_LARGE,
            ),
        )
    ),
)
