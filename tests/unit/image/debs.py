"""Makes Debian packages in memory, byte for byte as a test wants them."""

from __future__ import annotations

import io
import lzma
import tarfile
from collections.abc import Mapping, Sequence


def tar(entries: Sequence[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for info, content in entries:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, *, target: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.mtime = kind, target, mode, 1_600_000_000
    return info


def ar(members: Mapping[str, bytes]) -> bytes:
    out = b"!<arch>\n"
    for name, content in members.items():
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode()
        out += content + b"\n" * (len(content) % 2)
    return out


def deb(name: str, version: str, files: Sequence[tuple[tarfile.TarInfo, bytes]], *, compression: str = "xz") -> bytes:
    control = f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: A Person <a@example.test>\n"
    pack = lzma.compress if compression == "xz" else bytes
    return ar(
        {
            "debian-binary": b"2.0\n",
            "control.tar.xz": lzma.compress(tar([(entry("./control"), control.encode())])),
            f"data.tar{'.' + compression if compression else ''}": pack(tar(files)),
        }
    )
