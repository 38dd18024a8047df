"""The steps of a rebuild, run where everything has been prepared: `python -m dhallmark.audit.steps CONFIG`.

They are the commands of a release, so that a rebuild cannot take another way than the build did.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

from dhallmark import strictjson
from dhallmark.audit.inside import BUILD, RESULT
from dhallmark.cli.app import run
from dhallmark.config.load import load_config
from dhallmark.controls.sandbox import CASE, OUTPUT
from dhallmark.errors import Error
from dhallmark.files import write_atomic
from dhallmark.render.closure import load_closure
from dhallmark.steps.tools import tool_versions


def main(config: Path) -> int:
    """Run all steps until one fails; write what came of them to /output/steps.json."""
    body: dict[str, Any] = {"steps": []}
    status = 0
    for step in ("resolve", "render", "package"):
        words = [step, "--config", str(config), "--build", str(BUILD), "--output", "json"]
        if step == "resolve":
            words += ["--dhall-cache", str(CASE / "cache")]
        stdout, stderr = io.StringIO(), io.StringIO()
        status = run(words, stdout=stdout, stderr=stderr)
        said = {} if status == 0 else {"error": _error(stderr.getvalue())}
        body["steps"].append({"step": step, "status": int(status), **said})
        if status:
            break
    else:
        try:
            body["tools"] = tool_versions(load_closure(BUILD), load_config(config))
        except Error as error:
            body["steps"].append({"step": "tools", "status": int(error.exit_code), "error": error.to_json()})
            status = error.exit_code
    write_atomic(OUTPUT / RESULT, strictjson.dump(body))
    return int(status)


def _error(text: str) -> object:
    try:
        return strictjson.parse(text.encode(), what="error")
    except Error:
        return {"error": "InternalError", "message": text[-2000:]}


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
