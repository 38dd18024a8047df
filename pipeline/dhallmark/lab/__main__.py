"""The supervisor as a program: what `dhallmark lab up` starts inside the new namespaces. Not for people."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

import anyio

from dhallmark.errors import Error
from dhallmark.lab.model import LabPaths
from dhallmark.lab.namespace import prepare_inside
from dhallmark.lab.supervisor import supervise


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m dhallmark.lab")
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--packages", type=Path)
    parser.add_argument("--owner", type=int, help="descriptor of a pipe; the lab ends when its other end is closed")
    options = parser.parse_args()
    try:
        prepare_inside(LabPaths(options.dir).hosts)
        run = partial(supervise, options.dir.absolute(), packages=options.packages, isolated=True, owner=options.owner)
        anyio.run(run)
    except Error as error:
        sys.stderr.write(f"{error}\n")
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
