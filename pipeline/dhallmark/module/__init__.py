"""The Dagger functions: each builds a container, mounts what it is given, and runs the `dhallmark` command in it.

No function holds logic that the command line lacks. Loaded by the engine for every call, so only the standard
library, anyio, dagger and the typed configuration are imported here.
"""

from dhallmark.module.lab import Lab
from dhallmark.module.main import Dhallmark
from dhallmark.module.release import Released

__all__ = ["Dhallmark", "Lab", "Released"]
