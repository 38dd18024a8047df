"""What a consumer of one environment must check: the one model that all dialects are written from.

It follows from `dhallmark.yaml`, the policy and the record of what was published. A dialect adds nothing to it and
leaves out only what `limits` says that it leaves out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from dhallmark import strictjson
from dhallmark.config.gitops import GitOps
from dhallmark.config.identities import IdentityRule
from dhallmark.config.model import Config
from dhallmark.config.policy import Policy
from dhallmark.digest import Digest
from dhallmark.errors import FormatError, InputError, Location, UsageError
from dhallmark.gitops.write.matcher import (
    Matcher,
    identities_of,
    one_matcher,
    require_equal,
    require_tight,
    signature_rules,
)
from dhallmark.publish.model import Publication, Published

_PUBLIC_HOST = "fulcio.sigstore.dev"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The trust root of the instance that signed."""

    text: str | None
    """The whole of trusted_root.json, as it was read; None where nobody gave one."""
    named: bool
    """Whether consumers that know the public instance by themselves must be told: it is another one."""
    empty: bool = False
    """Whether it believes no certificate authority: a site where keys sign, without any Sigstore."""

    @classmethod
    def of(cls, content: bytes | None, *, named: bool | None = None) -> Trust:
        """From the bytes of trusted_root.json; named unless it is the public instance's. Raises FormatError."""
        if content is None:
            return cls(text=None, named=False)
        hosts = _authorities(content)
        return cls(
            text=content.decode("utf-8"),
            named=hosts not in (set(), {_PUBLIC_HOST}) if named is None else named,
            empty=not hosts,
        )

    @property
    def digest(self) -> Digest | None:
        return None if self.text is None else Digest.of(self.text.encode())

    @property
    def private(self) -> str | None:
        """The text, where consumers must be told."""
        return self.text if self.named else None


def _authorities(content: bytes) -> set[str]:
    """The hosts of the certificate authorities in a trust root, which tell one instance from another."""
    body = strictjson.parse(content, what="trust root", max_bytes=len(content))
    authorities = body.get("certificateAuthorities") if isinstance(body, dict) else None
    if not isinstance(authorities, list):
        raise FormatError("the trust root has no certificateAuthorities")
    return {urlsplit(str(one.get("uri", ""))).hostname or "" for one in authorities if isinstance(one, dict)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """One published artifact, as a consumer names it."""

    application: str | None
    """None for what is not one application's."""
    layer: str | None
    repository: str
    """With the registry."""
    tag: str
    digest: str

    @property
    def url(self) -> str:
        """As Flux writes it."""
        return f"oci://{self.repository}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """What the consumers of one environment must check, and where they find it."""

    project: str
    environment: str
    version: str
    namespace: str | None
    """The environment's namespace, for charts whose objects name none."""
    settings: GitOps
    layers: tuple[str, ...]
    """Those that have an application here, first applied first."""
    manifests: Followed
    """The artifact with all objects."""
    charts: tuple[Followed, ...]
    """Each application's chart."""
    policy: Policy
    policy_file: bytes
    """The policy as it was read, for consumers that are dhallmark themselves."""
    trust: Trust
    plain_http: bool

    @property
    def prefix(self) -> str:
        """What names of objects begin with: two environments may share a cluster."""
        return f"{self.project}-{self.environment}"

    @property
    def repositories(self) -> tuple[str, ...]:
        """The repositories that consumers of this environment read."""
        return (self.manifests.repository, *(chart.repository for chart in self.charts))

    @property
    def signers(self) -> Mapping[str, IdentityRule]:
        """Whoever may sign for admission, by their names in the policy."""
        wanted = identities_of(self.policy, signature_rules(self.policy))
        return {name: rule for name, rule in self.policy.identities.items() if rule in wanted}

    def matcher(self) -> Matcher | None:
        """The one matcher of consumers that know one; None where keys sign.

        Raises UsageError and InputError where it would not let in exactly those who may sign.
        """
        signers = self.signers
        keys = [name for name, rule in signers.items() if rule.key is not None]
        if len(keys) == len(signers):
            return None
        if keys:
            raise UsageError(
                f"the key {keys[0]!r} and other identities do not fit into one source, which takes keys or identities",
                hint="let the signature be required of keys alone, or of identities alone",
            )
        self.require_tight()
        matcher = one_matcher(list(signers.values()))
        require_equal(matcher, list(signers.values()))
        return matcher

    def require_tight(self) -> None:
        """Raise InputError for a signer whom consumers that see issuer and subject alone would take too widely."""
        for name, rule in self.signers.items():
            require_tight(name, rule)


def checks_of(
    config: Config,
    policy: Policy,
    publication: Publication,
    *,
    environment: str,
    trust: Trust,
    policy_file: bytes,
    file: str,
) -> Checks:
    """What consumers of `environment` must check. `policy_file` is the policy's bytes, `file` where the publication is.

    Raises InputError for a publication that is not of this configuration, or a trust root that the policy refuses.
    """
    rule = policy.trust_root
    if rule is not None and trust.digest is not None and str(trust.digest) not in [one.digest for one in rule.accepted]:
        raise InputError(
            f"the policy does not accept the trust root that consumers would be told ({trust.digest})",
            hint="give the trusted_root.json that `trustRoot.accepted` of the policy lists",
        )
    artifacts = [one for one in publication.artifacts if one.environment == environment]
    manifests = [_followed(one, config) for one in artifacts if one.kind == "flux"]
    charts = tuple(_followed(one, config) for one in artifacts if one.kind == "chart")
    if len(manifests) != 1 or not charts:
        raise InputError(
            f"the record of what was published is not of this configuration: {environment} has {len(charts)} charts",
            where=Location(file=file),
            hint="run `dhallmark publish` again",
        )
    used = {chart.layer for chart in charts}
    return Checks(
        project=config.project,
        environment=environment,
        version=publication.version,
        namespace=config.environments[environment].namespace,
        settings=config.gitops,
        layers=tuple(layer for layer in config.layers if layer in used),
        manifests=manifests[0],
        charts=charts,
        policy=policy,
        policy_file=policy_file,
        trust=trust,
        plain_http=config.publish.plain_http,
    )


def _followed(one: Published, config: Config) -> Followed:
    application = one.name if one.kind == "chart" else None
    if application is not None and application not in config.applications:
        raise InputError(f"the application {application} was published, and is not in the configuration")
    return Followed(
        application=application,
        layer=config.applications[application].layer if application is not None else None,
        repository=one.repository,
        tag=one.tag,
        digest=one.digest,
    )
