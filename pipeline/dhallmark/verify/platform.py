"""The manifest of one platform in an image index.

Source: OCI image-spec 1.1, image-index.md, "platform".
"""

from __future__ import annotations

from typing import Final

from dhallmark.digest import Digest
from dhallmark.errors import UsageError
from dhallmark.oci.descriptor import Manifest
from dhallmark.reasons import Reason
from dhallmark.verify.refusal import Refusal

_PARTS: Final = range(2, 4)


def check_platform(platform: str) -> str:
    """`platform`, which is OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT. Raises UsageError."""
    parts = platform.split("/")
    if len(parts) not in _PARTS or not all(parts) or not platform.isprintable():
        raise UsageError(f"not a platform: {platform!r}", hint="write it as linux/amd64 or linux/arm/v7")
    return platform


def select_platform(manifest: Manifest, platform: str) -> Digest:
    """The digest of the one manifest for `platform` in an index; `manifest`'s own where it is no index.

    Refuses an index that lists none for it, or several: which of them is pulled depends on who pulls. Raises
    FormatError for an index that cannot be read.
    """
    children = manifest.children()
    if not manifest.is_index:
        return manifest.digest
    wanted = tuple(platform.split("/"))
    listed = [_platform_of(item) for item in manifest.body()["manifests"]]
    found = {child.digest for child, of in zip(children, listed, strict=True) if of[: len(wanted)] == wanted}
    if len(found) != 1:
        raise Refusal(
            Reason.ARTIFACT_PLATFORM,
            f"the image index lists {len(found) or 'no'} manifests for the platform",
            expected=platform,
            found=", ".join(sorted({"/".join(of) for of in listed if of}))[:300],
        )
    return found.pop()


def _platform_of(item: object) -> tuple[str, ...]:
    platform = item.get("platform") if isinstance(item, dict) else None
    if not isinstance(platform, dict):
        return ()
    parts = [platform.get(key) for key in ("os", "architecture", "variant")]
    return tuple(part for part in parts if isinstance(part, str) and part)
