"""`sign-bundle`, as the suite's `docs/cli_protocol.md` has it.

The suite hands the token over as an argument, where every process of the machine can read it. `dhallmark sign` takes
none there.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import anyio

from dhallmark.errors import ExitCode, FormatError, Location, UnavailableError
from dhallmark.files import write_atomic
from dhallmark.sign.single import join_trust_config, sign_file


def main(arguments: Sequence[str]) -> int:
    """Sign, write the bundle, and give the exit code. Raises Error where there is no signature."""
    options = _parser().parse_args(arguments)
    config = join_trust_config(
        trusted_root=options.trusted_root, signing_config=options.signing_config, staging=options.staging
    )
    content = _read(options.artifact)
    bundle = anyio.run(
        partial(sign_file, content, token=options.identity_token, trust_config=config, in_toto=options.in_toto)
    )
    try:
        write_atomic(options.bundle, bundle)
    except OSError as error:
        raise UnavailableError(f"the bundle cannot be written: {error.strerror}: {options.bundle}") from error
    return ExitCode.OK


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FormatError(f"the file cannot be read: {error.strerror}", where=Location(file=str(path))) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="client sign-bundle", allow_abbrev=False)
    parser.add_argument("--staging", action="store_true", help="sign with Sigstore's staging instance")
    parser.add_argument("--in-toto", action="store_true", help="the file is an in-toto statement, to be signed as DSSE")
    parser.add_argument("--identity-token", required=True, metavar="TOKEN")
    parser.add_argument("--bundle", type=Path, required=True, metavar="FILE")
    parser.add_argument("--trusted-root", type=Path, metavar="FILE")
    parser.add_argument("--signing-config", type=Path, metavar="FILE")
    parser.add_argument("artifact", type=Path, metavar="FILE")
    return parser
