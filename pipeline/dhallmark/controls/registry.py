"""The real registry that a judgement is made against, filled from two layouts.

It is the tool chain's `registry`, with the referrers API, on the loopback of the judgement's own network. Blobs are
served from the layouts' files; manifests and tags are put there as any client does. What no registry would keep (a blob
whose bytes are not those of its digest) is left out: the proxy before it serves that.
"""

from __future__ import annotations

import http.client
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from dhallmark.controls.layout import Layout
from dhallmark.digest import Digest
from dhallmark.errors import ToolError
from dhallmark.oci.descriptor import Manifest

PROGRAM: Final = "registry"
TAG: Final = "control"
"""Names the artifact where a control asks about a tag."""
_READY_SECONDS: Final = 20.0
_POLL: Final = 0.002


def start_registry(port: int, blobs: Path, *, user: int | None) -> subprocess.Popen[bytes]:
    """Start the registry on `port` of loopback, and return once it listens. Whoever calls this ends it.

    `blobs` is a folder with `sha256/<hex>`. `user` is who it runs as, the caller where None. Raises ToolError.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise ToolError(
            f"there is no program {PROGRAM!r} on PATH", hint="install the tool chain: python3 ci/toolchain install"
        )
    process = subprocess.Popen(
        [program, f"--addr=127.0.0.1:{port}", f"--dir={blobs}", "--quiet"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
    )
    try:
        await_port(port, still=lambda: process.poll() is None)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return process


def await_port(port: int, *, still: Callable[[], bool]) -> None:
    """Return once something listens on `port` of loopback. Raises ToolError where it takes long, or `still` is over."""
    end = time.monotonic() + _READY_SECONDS
    while still() and time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(_POLL)
        else:
            return
    raise ToolError(f"nothing listens on port {port}: the program that should has ended, or is stuck")


def link_blobs(folder: Path, layouts: Mapping[str, Path]) -> None:
    """Make `folder` hold every blob of the layouts in `layouts`, in the form that the registry reads.

    A blob is named by its digest, so layouts share them; of two that claim the same name, one is false, and is no
    matter here: the registry itself serves none whose bytes do not fit.
    """
    (folder / "sha256").mkdir(parents=True)
    for layout in layouts.values():
        for blob in (layout / "blobs" / "sha256").iterdir():
            link = folder / "sha256" / blob.name
            if not link.is_symlink():
                link.symlink_to(blob)


def false_blobs(layout: Layout) -> dict[Digest, bytes]:
    """What no registry would keep: bytes under the digest of others."""
    return {digest: content for digest, content in layout.blobs.items() if Digest.of(content) != digest}


def fill(port: int, repository: str, layout: Layout, *, tagged: Digest) -> None:
    """Put every manifest and tag of `layout` into `repository`, and a tag on `tagged`. Raises ToolError."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    # An index is taken only where what it lists is there.
    below_first = sorted(layout.manifests, key=lambda digest: (layout.levels(digest), digest))
    names: list[tuple[str, Manifest]] = [(digest, layout.manifests[digest]) for digest in below_first]
    names += [(name, layout.manifests[digest]) for name, digest in layout.tags.items()]
    names += [(TAG, layout.manifests[tagged])] if tagged in layout.manifests else []
    try:
        for name, manifest in names:
            headers = {"Content-Type": manifest.media_type}
            connection.request("PUT", f"/v2/{repository}/manifests/{name}", manifest.content, headers)
            response = connection.getresponse()
            said = response.read(1000)
            if response.status != http.client.CREATED:
                words = said.decode(errors="replace")
                raise ToolError(f"the registry took no manifest {name}: {response.status} {words}")
    except (OSError, http.client.HTTPException) as error:
        raise ToolError(f"the registry does not answer: {error}") from error
    finally:
        connection.close()
