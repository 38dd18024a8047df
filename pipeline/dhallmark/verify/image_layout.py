"""An OCI image layout on the disk: every artifact that it holds, with what refers to it in there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from pathlib import Path

import anyio.to_thread

from dhallmark.config.policy import Format
from dhallmark.errors import FormatError
from dhallmark.oci.store import LayoutStore, StoreDigestError, StoreError
from dhallmark.reasons import Reason
from dhallmark.verdict import Check, Verdict
from dhallmark.verify.artifact import gather
from dhallmark.verify.judge import Evidence


async def gather_layout(
    directory: Path,
    *,
    subject_name: str | None = None,
    unpack: bool = False,
    formats: Collection[Format] = (Format.BUNDLE,),
) -> AsyncIterator[Evidence | Verdict]:
    """What there is about each artifact of the layout, in the order of its index. Raises nothing but cancellation.

    An artifact's name in its statements must be `subject_name`; any name will do where that is None, since a layout
    says nothing of where its content will be deployed. `unpack` and `formats` are as for `gather`. A layout
    without artifacts yields nothing.
    """
    try:
        store = await anyio.to_thread.run_sync(LayoutStore.open, directory)
    except (FormatError, StoreError) as error:
        mismatch = isinstance(error, StoreDigestError)
        reason = Reason.ARTIFACT_DIGEST_MISMATCH if mismatch else Reason.FILE_UNREADABLE
        yield Verdict.of(str(directory), checks=[Check(name="layout", reason=reason, detail=error.message)])
        return
    for artifact in store.artifacts:
        subject = f"{directory}{f':{artifact.name}' if artifact.name else ''}@{artifact.digest}"
        yield await gather(
            store, "", artifact.digest, subject=subject, name=subject_name, unpack=unpack, formats=formats
        )
