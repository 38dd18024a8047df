"""The surroundings of a rebuild: everything that must not matter to it, told so that it can be varied.

The default differs, in all of it, from where anybody builds; `explain` changes one at a time.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from dhallmark.config.model import Model

Order = Literal["names", "reversed"]


class Conditions(Model):
    """Where and how a rebuild runs."""

    hostname: str = "rebuild.invalid"
    user: int = 61184
    """User and group id, where the auditor is root; another one cannot be had otherwise."""
    folder: str = "/tmp/a place of its own/rebuild"  # noqa: S108  in a file system of its own
    """Where the project lies."""
    umask: int = 0o077
    locale: str = "C"
    timezone: str = "REBUILD-13:45"
    """As POSIX writes it: nobody's, 13 hours and 45 minutes ahead of UTC."""
    cpus: int = 1
    """Processors that it may run on; as many as there are where this is 0."""
    order: Order = "reversed"
    """In which order the files of the sources were made, which is the order in which some file systems list them."""
    time: int | None = None
    """Seconds since 1970 that the clock starts from, where libfaketime is installed; the real time otherwise."""

    def to_text(self) -> dict[str, str]:
        """For the record: what a reader wants to know."""
        return {
            "hostname": self.hostname,
            "user": str(self.user),
            "folder": self.folder,
            "umask": f"{self.umask:03o}",
            "locale": self.locale,
            "timezone": self.timezone,
            "cpus": str(self.cpus or len(os.sched_getaffinity(0))),
            "order": self.order,
        }


@dataclass(frozen=True, slots=True)
class Variation:
    """A change of one condition."""

    name: str
    conditions: Conditions
    note: str = ""


_FAKETIME: Final = tuple(
    Path(folder) / "faketime" / "libfaketime.so.1"
    for folder in ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib", "/usr/lib64")
)
_LATER: Final = 4_102_444_800
"""1 January 2100."""


def faketime() -> Path | None:
    """libfaketime, where it is installed (Debian: the package faketime)."""
    return next((path for path in _FAKETIME if path.is_file()), None)


def variations(base: Conditions) -> tuple[Variation, ...]:
    """One change each, from `base` on. The time comes first: where two runs without a change differ, it is to blame."""
    locales = _other_locale(base.locale)
    found = [
        Variation(
            "time",
            replace_one(base, time=_LATER) if faketime() else base,
            "" if faketime() else "the clock went on by some seconds; with libfaketime installed it is set to 2100",
        ),
        Variation("path", replace_one(base, folder="/tmp/elsewhere")),  # noqa: S108
        Variation("locale", replace_one(base, locale=locales)),
        Variation("timezone", replace_one(base, timezone="UTC0")),
        Variation("cpus", replace_one(base, cpus=0)),
        Variation("order of files", replace_one(base, order="names")),
        Variation("hostname", replace_one(base, hostname="another.invalid")),
        Variation("user", replace_one(base, user=base.user + 2)),
        Variation("umask", replace_one(base, umask=0o022)),
    ]
    return tuple(found)


def replace_one(base: Conditions, **change: object) -> Conditions:
    """`base` with a change."""
    return base.model_copy(update=change)


def _other_locale(locale: str) -> str:
    return "C.UTF-8" if locale != "C.UTF-8" else "C"
