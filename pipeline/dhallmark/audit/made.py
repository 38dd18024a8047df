"""Rebuilds that were made elsewhere: in the recorded image, by who was given the materials and nothing else.

The image yields files. They are read here as anything that a stranger made: what it says of its tools and its network
is a claim, and only what it built is compared.

`REBUILD` is the program that makes them, run in the image with the folder of an order at /case and an empty one at
/made. It needs a shell, `unshare` and the `dhallmark` of the image, and nothing of this version.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Final

import anyio.to_thread

from dhallmark import strictjson
from dhallmark.audit.image import Images
from dhallmark.audit.materials import Materials
from dhallmark.audit.rebuilder import Key, Order, read_rebuilt
from dhallmark.audit.rebuilt import Rebuilt
from dhallmark.audit.sealed import Rebuild, step_refusal
from dhallmark.errors import Error, FormatError
from dhallmark.files import read_regular
from dhallmark.reasons import Reason
from dhallmark.render.closure import load_closure
from dhallmark.verify.refusal import Refusal

MADE: Final = "made"
"""The folder beside an order's `source/` in which what was rebuilt is expected."""
_CONDITIONS: Final = ("hostname", "user", "umask", "cpus", "locale", "timezone")
"""What the program says of its surroundings, in a file each."""
_MAX_SAID: Final = 1 << 20


def rebuild_program() -> str:
    """The program that is run in the recorded image."""
    return files("dhallmark.audit").joinpath("rebuild.sh").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class MadeRebuilder:
    """Finds rebuilds below a folder: `<key>/made/`, as `REBUILD` leaves them."""

    folder: Path
    images: Images = field(default_factory=lambda: Images(()))
    """The images that the auditor gave: what was rebuilt was to be rebuilt in one of these."""

    async def rebuild(self, key: Key, materials: Materials, order: Order) -> Rebuilt:
        """The rebuild of `order`. Refuses where it was not made, or failed."""
        del materials
        return await anyio.to_thread.run_sync(self._read, self.folder / key.folder / MADE, order)

    def _read(self, made: Path, order: Order) -> Rebuilt:
        if self.images and order.image:
            self.images.find(order.image)
        if not made.is_dir():
            detail = _said(made.parent / "unavailable")
            image = order.image or "the recorded image"
            raise Refusal(Reason.IMAGE_UNAVAILABLE, f"{image}: {detail or 'nothing was rebuilt in it'}")
        if _said(made / "isolation") != "sealed":
            raise Refusal(Reason.ISOLATION_UNAVAILABLE, _said(made / "isolation") or "it was not sealed")
        status, step = _said(made / "status"), _said(made / "step")
        if status != "0":
            raise step_refusal({"step": step, "error": _error(_said(made / "error"))}, f"ended with {status}")
        attempts = _said(made / "attempts")
        count = int(attempts) if attempts.isdigit() else None
        if count:
            raise Refusal(
                Reason.REBUILD_NETWORK, "something in the rebuild tried to reach the network", attempts=attempts
            )
        tools = {"dhallmark": _said(made / "dhallmark"), "helm": _said(made / "helm")}
        try:
            tools["dhall"] = load_closure(made / "build").dhall
        except Error as error:
            raise Refusal(Reason.TOOL_UNAVAILABLE, f"the rebuild left no closure: {error}") from error
        found = Rebuild(
            build=made / "build",
            tools={name: version for name, version in tools.items() if version and name in {*order.tools, "dhallmark"}},
            conditions={name: said for name in _CONDITIONS if (said := _said(made / name))},
            image=_said(made / "image") or order.image,
            attempts=count,
        )
        return read_rebuilt(found)


def _said(path: Path) -> str:
    try:
        return read_regular(path, max_bytes=_MAX_SAID).decode(errors="replace").strip()
    except Error:
        return ""


def _error(text: str) -> object:
    try:
        return strictjson.parse(text.encode(), what="error")
    except FormatError:
        return {"error": "ToolError", "message": text[-2000:]}
