"""dhallmark about files: deploy trees and Dhall projects. No other consumer is asked about these.

A project is judged by resolving and rendering it, as a release does before anything is signed.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from dhallmark.config.load import load_config, load_policy
from dhallmark.control import Kind
from dhallmark.controls.case import Side
from dhallmark.errors import Error, RenderError
from dhallmark.plan import make_plan
from dhallmark.reasons import Reason
from dhallmark.render.causes import reason_of
from dhallmark.render.dhall import Limits, find_dhall
from dhallmark.render.render import render
from dhallmark.render.resolve import resolve
from dhallmark.verdict import Check, Verdict
from dhallmark.verify.tree import verify_tree
from dhallmark.verify.trust import TrustRoot

_LIMITS = Limits(seconds=20, memory=768 << 20)
"""Enough for what a control renders, and little enough to be reached soon."""


async def examine_files(kind: Kind, side: Side) -> Verdict:
    """The verdict on the files of one side of a case."""
    try:
        if kind is Kind.TREE:
            return verify_tree(side.files, load_policy(side.policy), TrustRoot.load(side.trusted_root))
        return Verdict.of(kind.value, checks=[await _render(side.files)])
    except (Error, OSError) as error:
        check = Check(name="consumer", reason=Reason.CONSUMER_UNAVAILABLE, detail=str(error))
        return Verdict.of(kind.value, checks=[check])


async def _render(root: Path) -> Check:
    name = "render"
    plan = make_plan(load_config(root / "dhallmark.yaml"))
    with tempfile.TemporaryDirectory(prefix="dhallmark-render-") as build:
        try:
            await resolve(plan, root=root, build=Path(build), dhall=await find_dhall(limits=_LIMITS))
            render(plan, root=root, build=Path(build))
        except RenderError as error:
            return Check(name=name, reason=reason_of(error.message), detail=error.message)
    return Check(name=name)
