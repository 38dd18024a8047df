"""The Python closure: fetched and unpacked by pip, for the image's interpreter rather than the running one.

Hashes come from `requirements.lock`; pip refuses everything else (`--require-hashes`).
"""

from __future__ import annotations

import csv
import importlib.metadata
import io
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from dhallmark.errors import FormatError
from dhallmark.image.lock import Python
from dhallmark.image.process import run
from dhallmark.image.tree import Entry, File, Slice, Symlink

PREFIX = "opt/dhallmark"
"""Where the virtual environment stands in the image."""
_ORIGIN = "direct_url.json"
"""Says in which folder the wheel lay (PEP 610)."""
_LAUNCHER = """\
#!/{prefix}/bin/python
import sys
from {module} import {first}
sys.exit({call}())
"""


def fetch(requirements: Sequence[Path], *, python: Python, destination: Path) -> None:
    """Download the wheels that `requirements` lock. The index is the user's (pip's own configuration)."""
    destination.mkdir(parents=True, exist_ok=True)
    locks = [part for path in requirements for part in ("-r", str(path))]
    run(
        [*_pip("download"), "--no-deps", "--require-hashes", *_target(python), "-d", str(destination), *locks],
        what="fetching the Python closure",
    )


def build_own(source: Path, *, destination: Path) -> None:
    """Build the wheel of the project in `source` with the hatchling that is installed; nothing is fetched."""
    with tempfile.TemporaryDirectory(prefix="dhallmark-wheel-") as folder:
        run(
            [*_pip("wheel"), "--no-deps", "--no-index", "--no-build-isolation", "-w", folder, str(source.resolve())],
            what="building dhallmark's wheel",
        )
        (wheel,) = Path(folder).glob("*.whl")
        destination.mkdir(parents=True, exist_ok=True)
        (destination / wheel.name).write_bytes(wheel.read_bytes())


def unpack(wheels: Path, *, requirements: Sequence[Path], python: Python, scratch: Path) -> None:
    """Unpack the locked wheels of the folder `wheels` into `scratch`; hashes are checked again. No network."""
    locks = [part for path in requirements for part in ("-r", str(path))]
    run(
        [*_pip("install"), *_offline(wheels, scratch), "--require-hashes", *_target(python), *locks],
        what="unpacking the Python closure",
    )


def unpack_own(wheel: Path, *, python: Python, scratch: Path) -> None:
    """Unpack the project's own wheel."""
    run(
        [*_pip("install"), *_offline(wheel.parent, scratch), *_target(python), str(wheel)],
        what="unpacking dhallmark's wheel",
    )


def environment(python: Python, *, epoch: int) -> Iterator[Entry]:
    """The skeleton of a virtual environment over Debian's interpreter (PEP 405)."""
    settings = f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {python.version}\n"
    yield File(path=f"{PREFIX}/pyvenv.cfg", content=settings.encode(), mtime=epoch)
    yield Symlink(path=f"{PREFIX}/bin/python", target=f"/usr/bin/python{python.version}", mtime=epoch)
    yield Symlink(path=f"{PREFIX}/bin/python3", target="python", mtime=epoch)


def entries(scratch: Path, *, python: Python, epoch: int) -> Iterator[Entry]:
    """What `unpack` left in `scratch`, as site-packages and launchers.

    pip's own launchers name the interpreter of the building machine; they are made anew from the entry points.
    """
    site = f"{PREFIX}/lib/python{python.version}/site-packages"
    for path in sorted(scratch.rglob("*")):
        relative = path.relative_to(scratch)
        if relative.parts[0] == "bin" or relative.name == _ORIGIN or path.is_dir():
            continue
        if path.is_symlink():
            raise FormatError(f"a wheel unpacked to a symbolic link: {relative}")
        mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
        name = f"{site}/{relative.as_posix()}"
        if relative.name == "RECORD":
            yield File(path=name, content=_kept_record(path.read_text()), mode=mode, mtime=epoch)
        else:
            yield File(path=name, content=Slice(path, 0, path.stat().st_size), mode=mode, mtime=epoch)
    for distribution in importlib.metadata.distributions(path=[str(scratch)]):
        for point in distribution.entry_points.select(group="console_scripts"):
            text = _LAUNCHER.format(
                prefix=PREFIX, module=point.module, first=point.attr.split(".", 1)[0], call=point.attr
            )
            yield File(path=f"{PREFIX}/bin/{point.name}", content=text.encode(), mode=0o755, mtime=epoch)


def _kept_record(record: str) -> bytes:
    """RECORD (PEP 376) without what was left out or made anew."""
    rows = [
        row
        for row in csv.reader(io.StringIO(record))
        if row and not row[0].startswith("../../bin/") and not row[0].endswith(f"/{_ORIGIN}")
    ]
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(sorted(rows))
    return out.getvalue().encode()


def _pip(command: str) -> list[str]:
    return [sys.executable, "-m", "pip", "--quiet", "--no-input", "--disable-pip-version-check", command]


def _offline(links: Path, scratch: Path) -> list[str]:
    return [
        "--no-index", f"--find-links={links}", "--no-deps", "--no-compile", "--no-warn-script-location",
        "--root-user-action=ignore", "--target", str(scratch),
    ]  # fmt: skip


def _target(python: Python) -> list[str]:
    platforms = [part for platform in python.platforms for part in ("--platform", platform)]
    return [
        "--only-binary=:all:", "--implementation", "cp", "--python-version", python.version,
        "--abi", f"cp{python.version.replace('.', '')}", "--abi", "abi3", "--abi", "none", *platforms,
    ]  # fmt: skip
