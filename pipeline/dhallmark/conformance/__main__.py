"""`python -m dhallmark.conformance verify-bundle|sign-bundle …`: exit code 0 for accepted, and for signed."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from dhallmark.errors import Error, ExitCode


def main(arguments: Sequence[str]) -> int:
    """Run one command. The exit code is an `ExitCode`."""
    name, *rest = arguments or [""]
    try:
        if name == "verify-bundle":
            from dhallmark.conformance import verify

            return verify.main(rest)
        if name == "sign-bundle":
            from dhallmark.conformance import sign

            return sign.main(rest)
    except Error as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print("usage: client verify-bundle|sign-bundle …", file=sys.stderr)
    return ExitCode.USAGE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
