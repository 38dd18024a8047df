"""What a lab consists of (`lab.json`, schema `dhallmark.dev/lab/v1`), and where its files lie."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from dhallmark.errors import FormatError, Location, UsageError
from dhallmark.files import write_atomic

SCHEMA = "dhallmark.dev/lab/v1"
AUDIENCE = "sigstore"
"""The audience that Fulcio asks of every token."""
PACKAGES_HOST = "packages.dhallmark.test"
"""Host name under which the lab serves Dhall packages; `.test` never resolves outside (RFC 6761)."""

Address = Literal["127.0.0.1", "0.0.0.0"]  # noqa: S104
"""Loopback in a network of the lab's own; all addresses in a container whose network is isolated already."""
Shape = Literal["github", "gitlab", "email"]
"""Whose tokens an issuer's look like."""
LabName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)


class Issuer(_Model):
    """An OIDC issuer that the lab plays."""

    url: Annotated[str, Field(pattern=r"^https://[a-z0-9.-]+(/[A-Za-z0-9._-]+)*$")]
    """As it stands in the tokens, such as https://token.actions.githubusercontent.com: the real name, so that a
    production policy can be tested word for word."""
    shape: Shape

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def path(self) -> str:
        """The URL's path, empty or with a leading slash."""
        return urlsplit(self.url).path


DEFAULT_ISSUERS: dict[str, Issuer] = {
    "github": Issuer(url="https://token.actions.githubusercontent.com", shape="github"),
    "gitlab": Issuer(url="https://gitlab.com", shape="gitlab"),
    # Strangers to a policy that names the two above: what "wrong issuer" means in practice.
    "github-other": Issuer(url="https://token.actions.githubusercontent.com/other-enterprise", shape="github"),
    "gitlab-other": Issuer(url="https://gitlab.other.test", shape="gitlab"),
    "email": Issuer(url="https://accounts.dhallmark.test", shape="email"),
}


class Authority(_Model):
    """One Fulcio with its own CA chain and CT log. A second one is "another instance's CA" (control C3)."""

    port: int
    grpc_port: int
    metrics_port: int


class Ports(_Model):
    """TCP ports. In a network namespace of the lab's own nothing else can have taken them."""

    issuer: int = 443
    proxy: int = 8440
    tokens: int = 8441
    ctlog: int = 6962
    rekor: int = 3003
    rekor_grpc: int = 3001
    rekor_metrics: int = 3002
    timestamp: int = 3004
    registry: int = 5000
    registry_fallback: int = 5001
    packages: int = 8411


class LabModel(_Model):
    """`lab.json`: the lab as made by `create_lab`. Holds no secret; what runs now is in `state.json`."""

    schema_name: Annotated[Literal["dhallmark.dev/lab/v1"], Field(alias="schema")] = "dhallmark.dev/lab/v1"
    hostname: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")]
    """Name under which clients reach the services; also the origin of Rekor's checkpoints."""
    listen: Address
    """Address that the services bind."""
    issuers: dict[LabName, Issuer]
    authorities: Annotated[dict[LabName, Authority], Field(min_length=1)]
    """The first is the one that `trust/` speaks of."""
    ports: Ports = Ports()

    def fulcio_url(self, authority: str) -> str:
        return f"http://{self.hostname}:{self.authorities[authority].port}"

    @property
    def main_authority(self) -> str:
        return next(iter(self.authorities))

    @property
    def rekor_url(self) -> str:
        return f"http://{self.hostname}:{self.ports.rekor}"

    @property
    def timestamp_url(self) -> str:
        """The full URL that RFC 3161 requests are posted to."""
        return f"http://{self.hostname}:{self.ports.timestamp}/api/v1/timestamp"

    def ctlog_url(self, authority: str) -> str:
        return f"http://{self.hostname}:{self.ports.ctlog}/{authority}"

    @property
    def registry(self) -> str:
        """Host and port of the registry that has the referrers API."""
        return f"{self.hostname}:{self.ports.registry}"

    @property
    def registry_fallback(self) -> str:
        """Host and port of the registry that answers the referrers API with 404."""
        return f"{self.hostname}:{self.ports.registry_fallback}"

    @property
    def packages_url(self) -> str:
        return f"http://{PACKAGES_HOST}:{self.ports.packages}"

    @property
    def hosts(self) -> str:
        """The hosts file of the lab's namespace: every name is this machine."""
        names = sorted({"localhost", self.hostname, PACKAGES_HOST, *(issuer.host for issuer in self.issuers.values())})
        return "".join(f"127.0.0.1 {name}\n" for name in names)


HERE = Path()
"""The working directory: programs run in the lab's directory, and their settings name files as seen from there."""


@dataclass(frozen=True, slots=True)
class LabPaths:
    """Where a lab's files lie. The directory has mode 0700; keys and settings with passwords have 0600."""

    root: Path

    @property
    def model(self) -> Path:
        return self.root / "lab.json"

    @property
    def state(self) -> Path:
        return self.root / "state.json"

    @property
    def lock(self) -> Path:
        """Held by the supervisor as long as it lives."""
        return self.root / "lock"

    @property
    def control(self) -> Path:
        """Unix socket on which the supervisor takes `stop NAME` and `start NAME`."""
        return self.root / "control"

    @property
    def hosts(self) -> Path:
        return self.root / "hosts"

    @property
    def tls_ca(self) -> Path:
        """The CA certificate of the issuers' TLS: the only one that a client inside needs."""
        return self.root / "certs" / "tls-ca.pem"

    def key(self, name: str) -> Path:
        return self.root / "keys" / f"{name}.pem"

    def certificates(self, name: str) -> Path:
        return self.root / "certs" / f"{name}.pem"

    def settings(self, name: str) -> Path:
        return self.root / "settings" / name

    def trust(self, authority: str) -> Path:
        return self.root / "trust" / authority

    def data(self, name: str) -> Path:
        return self.root / "data" / name

    def log(self, name: str) -> Path:
        return self.root / "logs" / f"{name}.log"

    def job(self, name: str) -> Path:
        """A pretended GitHub Actions job: its claims and its request token."""
        return self.root / "jobs" / f"{name}.json"


def write_lab(paths: LabPaths, lab: LabModel) -> None:
    write_atomic(paths.model, json.dumps(lab.model_dump(mode="json", by_alias=True), indent=2) + "\n")


def read_lab(directory: Path) -> LabModel:
    """Read `lab.json`. Raises UsageError where there is none, FormatError where it is another format."""
    path = LabPaths(directory).model
    try:
        return LabModel.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise UsageError(
            f"no lab in {directory}", hint="make one with `dhallmark lab init` or `dhallmark lab up`"
        ) from None
    except ValidationError as error:
        raise FormatError(
            f"not a lab of format {SCHEMA}: {error.errors(include_url=False)[0]['msg']}",
            where=Location(file=str(path)),
            hint="made by another version of dhallmark? make the lab anew",
        ) from error
