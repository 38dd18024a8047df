"""The version of dhallmark that runs."""

from __future__ import annotations

UNINSTALLED = "0 (not installed)"
"""Said where the package's metadata is not to be found, as in a checkout."""


def tool_version() -> str:
    """The installed version, or `UNINSTALLED`."""
    from importlib.metadata import PackageNotFoundError, version  # 20 ms, which most commands need not spend

    try:
        return version("dhallmark")
    except PackageNotFoundError:
        return UNINSTALLED
