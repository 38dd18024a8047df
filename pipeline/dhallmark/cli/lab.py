"""`dhallmark lab …`: a local Sigstore and registries, for the sandbox and for tests."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from rich.table import Table

from dhallmark.cli.result import Result
from dhallmark.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from dhallmark.lab.model import Issuer, LabModel

Directory = Annotated[
    Path | None,
    Parameter(help="The lab's directory. Otherwise $DHALLMARK_LAB, or the user's state directory.", name="--dir"),
]
Hostname = Annotated[str, Parameter(help="Name under which clients reach the lab.")]
Authorities = Annotated[
    tuple[str, ...],
    Parameter(help="A further Fulcio with a CA of its own, by its name.", name="--authority", negative=()),
]
Issuers = Annotated[
    tuple[str, ...],
    Parameter(help="A further OIDC issuer, as NAME=SHAPE,URL (shapes: github, gitlab, email).", negative=()),
]
Packages = Annotated[
    Path | None, Parameter(help="A folder of Dhall packages to serve as http://packages.dhallmark.test:8411.")
]


def init(
    *,
    out: Annotated[Path, Parameter(help="Directory to make.")],
    hostname: Hostname = "localhost",
    authority: Authorities = (),
    issuer: Issuers = (),
) -> Result:
    """Make the lab's keys and trust root, starting nothing.

    With another host name than localhost the services will listen on all addresses: start that lab by `lab serve`
    in a container.
    """
    from dhallmark.lab.create import create_lab

    lab = create_lab(
        out,
        hostname=hostname,
        listen="127.0.0.1" if hostname == "localhost" else "0.0.0.0",  # noqa: S104  a container's own network
        authorities=("main", *authority),
        issuers=_issuers(issuer),
    )
    return _described(out, lab, "made; nothing runs")


def up(
    *,
    directory: Directory = None,
    authority: Authorities = (),
    issuer: Issuers = (),
    packages: Packages = None,
) -> Result:
    """Start a local Sigstore and registries, in a network of their own.

    Nothing in there can reach anything outside, and nothing outside can reach it: `lab exec` runs a command inside.
    A lab that is in the directory already keeps its keys; what was signed and published in it is gone.
    """
    from dhallmark.lab.create import create_lab
    from dhallmark.lab.model import LabPaths
    from dhallmark.lab.session import start_lab

    place = _directory(directory)
    if not LabPaths(place).model.exists():
        create_lab(place, authorities=("main", *authority), issuers=_issuers(issuer))
    elif authority or issuer:
        raise UsageError(f"{place} holds a lab already", hint="--authority and --issuer are for a new one")
    lab = start_lab(place, packages=packages)
    return _described(place, lab.model, f"ready after {lab.state().ready_after:.1f} s; enter: dhallmark lab exec -- …")


def serve(
    *,
    directory: Directory = None,
    hostname: Annotated[
        str | None, Parameter(help="Name under which clients reach the lab, where it is yet to be made.")
    ] = None,
    packages: Packages = None,
) -> Result:
    """Run the lab in the foreground, on this machine's addresses, until it is stopped.

    For a container whose network is isolated already. If one of its services ends, the lab ends with an error.
    """
    import anyio

    from dhallmark.cli.output import progress
    from dhallmark.lab.model import LabPaths, read_lab
    from dhallmark.lab.supervisor import supervise

    place = _directory(directory)
    if not LabPaths(place).model.exists():
        init(out=place, hostname=hostname or "localhost")
    lab = read_lab(place)
    if hostname is not None and lab.hostname != hostname:
        raise UsageError(f"the lab in {place} was made for the host name {lab.hostname}")
    anyio.run(partial(supervise, place, packages=packages, stop_on_death=True, progress=progress()))
    return _described(place, lab, "stopped")


def exec_(
    *command: Annotated[str, Parameter(help="The command and its arguments, after --.", allow_leading_hyphen=True)],
    directory: Directory = None,
) -> Result:
    """Run a command inside the lab's network. Its exit code is the command's."""
    from dhallmark.lab.namespace import entering
    from dhallmark.lab.session import attach_lab

    if not command:
        raise UsageError("no command", hint="dhallmark lab exec -- COMMAND ARGUMENTS")
    lab = attach_lab(_directory(directory))
    argv = entering(lab.pid, command, directory=Path.cwd())
    os.execvpe(argv[0], argv, lab.environment())  # noqa: S606  this process becomes the command


def token(
    *,
    directory: Directory = None,
    shape: Annotated[
        Literal["github", "gitlab", "email"], Parameter(help="Whose tokens it looks like: that issuer's.")
    ] = "github",
    issuer: Annotated[str | None, Parameter(help="Another issuer of the lab, by its name in lab.json.")] = None,
    claim: Annotated[
        tuple[str, ...],
        Parameter(help="A claim, as NAME=TEXT or NAME:=JSON. Claims that depend on it follow.", negative=()),
    ] = (),
    without: Annotated[tuple[str, ...], Parameter(help="A claim to leave out.", negative=())] = (),
    signed_by: Annotated[str | None, Parameter(help="Issuer whose key signs: another one's makes a forgery.")] = None,
    out: Annotated[Path | None, Parameter(help="File to write the token to, with mode 0600.")] = None,
    stdout: Annotated[bool, Parameter(help="Print the token.", negative=())] = False,
) -> Result:
    """Make a token of one of the lab's issuers, valid for five minutes. The lab need not run."""
    from dhallmark.files import write_atomic
    from dhallmark.lab.session import make_token

    if (out is None) == (not stdout):
        raise UsageError("say where the token goes", hint="either --out FILE or --stdout")
    place = _directory(directory)
    made = make_token(place, issuer or shape, claims=_claims(claim), without=without, signed_by=signed_by)
    data: dict[str, object] = {"schema": "dhallmark.dev/lab-token/v1", "issuer": issuer or shape}
    if out is None:
        return Result(data=data | {"token": made}, text=made)
    write_atomic(out, made, mode=0o600)
    return Result(data=data | {"file": str(out)}, text=f"wrote a token of {issuer or shape} to {out}")


def status(*, directory: Directory = None) -> Result:
    """Say whether the lab runs, and which of its services ended."""
    from dhallmark.lab.model import LabPaths, read_lab
    from dhallmark.lab.state import is_alive, read_state

    place = _directory(directory)
    read_lab(place)
    state = read_state(LabPaths(place))
    alive = is_alive(LabPaths(place))
    # A supervisor that was killed could not write its end down.
    said = "stopped" if state is None or (not alive and state.status != "failed") else state.status
    table = Table("service", "status", "process", "last lines", box=None)
    services = state.services if state is not None else {}
    for name, one in services.items():
        table.add_row(
            name,
            one.status if alive else "stopped",
            str(one.pid) if alive and one.status == "running" else "",
            one.log_tail or "",
        )
    died = [name for name, one in services.items() if one.status == "died"]
    table.title = f"lab in {place}: {said}" + (f" ({state.error})" if state is not None and state.error else "")
    return Result(
        data={
            "schema": "dhallmark.dev/lab-status/v1",
            "directory": str(place),
            "status": said,
            "died": died,
            "services": {name: one.model_dump(mode="json", by_alias=True) for name, one in services.items()}
            if alive
            else {},
        },
        text=table,
        exit_code=ExitCode.OK if said == "ready" and not died else ExitCode.UNAVAILABLE,
    )


def down(*, directory: Directory = None) -> Result:
    """Stop the lab. Its keys and logs stay in the directory."""
    from dhallmark.lab.session import stop_lab

    place = _directory(directory)
    stopped = stop_lab(place)
    data = {"schema": "dhallmark.dev/lab-down/v1", "directory": str(place), "stopped": stopped}
    return Result(data=data, text=f"the lab in {place} {'is stopped' if stopped else 'did not run'}")


def _directory(given: Path | None) -> Path:
    if given is None:
        named = os.environ.get("DHALLMARK_LAB")
        state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        given = Path(named) if named else Path(state) / "dhallmark" / "lab"
    return given.absolute()


def _issuers(given: tuple[str, ...]) -> Mapping[str, Issuer]:
    from pydantic import ValidationError

    from dhallmark.lab.model import Issuer

    issuers = {}
    for text in given:
        name, _, rest = text.partition("=")
        shape, _, url = rest.partition(",")
        try:
            issuers[name] = Issuer.model_validate({"url": url, "shape": shape})
        except ValidationError as error:
            raise UsageError(
                f"--issuer {text}: {error.errors(include_url=False)[0]['msg']}", hint="NAME=SHAPE,https://HOST[/PATH]"
            ) from error
    return issuers


def _claims(given: tuple[str, ...]) -> dict[str, object]:
    claims: dict[str, object] = {}
    for text in given:
        name, found, value = text.partition("=")
        if not found or not name:
            raise UsageError(f"--claim {text}: not NAME=TEXT or NAME:=JSON")
        if name.endswith(":"):
            try:
                claims[name[:-1]] = json.loads(value)
            except ValueError as error:
                raise UsageError(f"--claim {text}: {error}", hint="after := stands JSON") from error
        else:
            claims[name] = value
    return claims


def _described(directory: Path, lab: LabModel, said: str) -> Result:
    """What there is, and the files that a client is given."""
    from dhallmark.lab.model import LabPaths

    paths = LabPaths(directory.absolute())
    trust = {
        name: {
            "fulcio": lab.fulcio_url(name),
            "trustedRoot": str(paths.trust(name) / "trusted_root.json"),
            "trustConfig": str(paths.trust(name) / "trust_config.json"),
            "signingConfig": str(paths.trust(name) / "signing_config.json"),
        }
        for name in lab.authorities
    }
    data: dict[str, object] = {
        "schema": "dhallmark.dev/lab-result/v1",
        "directory": str(paths.root),
        "authorities": trust,
        "issuers": {name: issuer.url for name, issuer in lab.issuers.items()},
        "rekor": lab.rekor_url,
        "timestamp": lab.timestamp_url,
        "registries": {"referrers": lab.registry, "fallback": lab.registry_fallback},
        "packages": lab.packages_url,
        "tlsCa": str(paths.tls_ca),
    }
    table = Table(box=None, show_header=False, title=f"lab in {paths.root}: {said}")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, entries in trust.items():
        for kind, value in entries.items():
            table.add_row(f"{name} {kind}", value)
    table.add_row("Rekor", lab.rekor_url)
    table.add_row("timestamps", lab.timestamp_url)
    table.add_row("registry", lab.registry)
    table.add_row("registry without referrers API", lab.registry_fallback)
    for name, issuer in lab.issuers.items():
        table.add_row(f"issuer {name}", issuer.url)
    return Result(data=data, text=table)
