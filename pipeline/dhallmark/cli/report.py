"""`dhallmark report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from dhallmark import strictjson
from dhallmark.cli.result import Result
from dhallmark.files import write_atomic
from dhallmark.report.model import FILE
from dhallmark.report.read import read_report
from dhallmark.report.table import render


def report(
    *,
    build: Annotated[Path, Parameter(help="The build directory, with verdicts.json and controls/ in it.")] = Path(
        "build"
    ),
) -> Result:
    """Show what a release made, where it is, and what was said of it; write release.json.

    For steps that ran one by one, or on several machines; `dhallmark release` closes with the same report. The exit
    code is that of the worst verdict.
    """
    found = read_report(build)
    write_atomic(build / FILE, strictjson.dump(found.to_json()))
    return Result(data=found.to_json(), text=render(found), exit_code=found.exit_code)
