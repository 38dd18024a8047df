"""The model of the policy file: who may sign what, and what else must hold before anything is deployed.

What a demand would be checked on must be there to be looked at: a demand on provenance without a rule for provenance is
an error, not a line that nobody reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, PrivateAttr, field_validator, model_validator

from dhallmark.config.base import Model, Name, RelativePath, Version
from dhallmark.config.identities import IdentityRule, ReachableRule
from dhallmark.config.values import DigestText, Moment, Span
from dhallmark.digest import Digest
from dhallmark.statement import COSIGN_SIGN_V1, LINK_V0_3, MAX_SUBJECTS, SLSA_PROVENANCE_V1, TEST_RESULT_V0_1, VSA_V1

PolicyStep = Literal["resolve", "render", "package", "publish", "verify", "rebuild"]
Names = Annotated[tuple[Name, ...], Field(min_length=1)]
Uri = Annotated[str, Field(min_length=1)]


class Format(StrEnum):
    """How signatures are stored in a registry."""

    BUNDLE = "bundle"
    """Sigstore bundles, as referrers."""
    LEGACY = "legacy"
    """cosign's older tags that end with `.sig` and `.att`."""


class Subjects(StrEnum):
    """What a statement may be about, beside the artifact."""

    ARTIFACT = "artifact"
    """Nothing else."""
    RELEASE = "release"
    """The artifact's one layer, and files of a deploy tree (`environments/…`)."""
    ANY = "any"
    """Anything."""


_SUBJECTS = {COSIGN_SIGN_V1: Subjects.ARTIFACT, LINK_V0_3: Subjects.ANY}


class SummaryRule(Model):
    """What a verification summary (VSA) must say beside PASSED.

    Source: SLSA 1.0, "Verification Summary Attestation"."""

    verifiers: Annotated[tuple[Uri, ...], Field(min_length=1)]
    """Ids of the verifiers whose word counts; `identities` of the rule says who signs for them."""
    resources: tuple[Uri, ...] = ()
    """URIs of the resource that it may be about. The artifact's name and digest where this is not given."""
    policies: tuple[DigestText, ...] = ()
    """Digests of the policies that it may have been made by. Any policy of the verifier's where this is not given."""
    levels: tuple[Uri, ...] = ()
    """Levels that it must have verified, such as `SLSA_BUILD_LEVEL_3`; a higher level of the same track will do."""


class StatementRule(Model):
    """One statement that must be there, validly signed, about the artifact."""

    predicate_type: Uri
    """URI of the statement's predicate type."""
    identities: Names
    """Names of `identities`; any one of them may sign it."""
    threshold: Annotated[int, Field(ge=1)] = 1
    """How many different signers must have signed such a statement, each as another one of `identities`. The file
    `attestation.json` of a deploy tree is one signer's: it meets none above 1."""
    steps: tuple[PolicyStep, ...] = ()
    """For links: the steps that must each be there, each using what the one before it made."""
    subjects: Subjects | None = None
    """What else the statement may be about. Where this is not given: nothing for the signature of cosign and Flux,
    anything for links (their subjects are a step's products), files of the release for all others."""
    allow_unnamed: bool = False
    """True lets a subject without a name stand for the artifact, as `cosign sign` writes it. Then nothing binds the
    statement to the artifact's environment."""
    max_age: Span | None = None
    """How long ago it may have been signed, by the oldest verified time. `freshness.maxAge` where this is not given."""
    result: Literal["PASSED", "WARNED"] = "PASSED"
    """For test results: the least that it must say; WARNED lets PASSED through, too. FAILED is always refused."""
    passed_tests: tuple[Uri, ...] = ()
    """For test results: names of tests that must be among those that passed."""
    summary: SummaryRule | None = None
    """For verification summaries, where it must be given: whose summary of what."""

    @property
    def allowed_subjects(self) -> Subjects:
        """What the statement may be about, by this rule or by its type."""
        return self.subjects or _SUBJECTS.get(self.predicate_type, Subjects.RELEASE)

    @model_validator(mode="after")
    def _fits_the_type(self) -> Self:
        for field, given, wanted in (
            ("steps", bool(self.steps), LINK_V0_3),
            ("result", "result" in self.model_fields_set, TEST_RESULT_V0_1),
            ("passedTests", bool(self.passed_tests), TEST_RESULT_V0_1),
            ("summary", self.summary is not None, VSA_V1),
        ):
            if given and self.predicate_type != wanted:
                raise ValueError(f"{field}: is for statements of type {wanted} alone")
        if self.predicate_type == VSA_V1 and self.summary is None:
            raise ValueError("a verification summary needs `summary`: anyone's word about anything would do otherwise")
        if self.threshold > len(self.identities):
            raise ValueError("threshold: is more than there are identities")
        if self.threshold > 1 and self.predicate_type == LINK_V0_3:
            raise ValueError("threshold: a layout has thresholds for steps; see `layout`")
        return self


class SignatureRule(Model):
    """A bare signature over the artifact's bytes (a bundle's `messageSignature`), as `cosign sign-blob` makes it."""

    identities: Names
    """Names of `identities`; any one of them may sign it."""
    threshold: Annotated[int, Field(ge=1)] = 1
    """How many different signers must have signed, each as another one of `identities`."""
    max_age: Span | None = None
    """How long ago it may have been signed. `freshness.maxAge` where this is not given."""


class LayoutRule(Model):
    """An in-toto layout that the release must fulfil: its steps, who may do them, and what each may make of what."""

    identities: Names
    """Names of `identities`; any one of them may sign the layout. Not those that do the steps."""
    file: RelativePath | None = None
    """The signed layout, relative to the policy file. Where this is not given, it must be attached to the artifact."""
    minimum_version: Annotated[int, Field(ge=0)] = 0
    """The least `version` of the layout that counts: an older one is refused, however valid (rollback)."""
    signed_since: Moment | None = None
    """A layout that was signed earlier does not count, however valid (rollback)."""


class SourceRule(Model):
    """What the provenance must say of the source."""

    repository: Uri
    """URI of the Git repository that the provenance must name."""
    allow_dirty: bool = False
    """True lets a release from an uncommitted tree through."""
    refs: tuple[Uri, ...] = ()
    """Git refs that it may be built from, such as `refs/heads/main`; any where this is not given."""
    revisions: tuple[Annotated[str, Field(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})$")], ...] = ()
    """Commits that it may be built from, by their full ids; any where this is not given."""
    reachable: ReachableRule | None = None
    """That the commit stands on a branch of the real repository."""


class EvidenceRule(Model):
    """How much log and time each signature must bring along. What is there beyond it is verified all the same."""

    log_entries: Annotated[int, Field(ge=0, le=8)] = 1
    """Entries in transparency logs of the trust root. 0 is for sites without a log: a stolen token or key then signs
    without anyone seeing it."""
    timestamps: Annotated[int, Field(ge=0, le=8)] = 0
    """Signed timestamps (RFC 3161) of authorities of the trust root. A certificate needs one verified time in any case,
    which may also be a Rekor v1 log's."""
    scts: Annotated[int, Field(ge=0, le=8)] = 1
    """Timestamps of certificate transparency logs in the certificate; of no meaning for a key."""


class FreshnessRule(Model):
    """How old signatures may be: an old release that was once good is not replayed for ever."""

    max_age: Span
    """How long ago each required statement may have been signed, by the oldest verified time, such as `90d`. A
    signature by a key can be stamped anew, and its old times taken away: for keys, demand a least version (`versions`)
    as well."""


class VersionRule(Model):
    """The least version that may still be deployed: an old, valid release is not put back over a newer one."""

    minimum: Version | None = None
    """The least version of every artifact."""
    artifacts: dict[Uri, Version] = Field(default_factory=dict)
    """The least version by the artifact's name (its repository), or by the first parts of it up to a `/`, such as
    `registry.example/acme/platform/prod`. All entries that fit count."""
    parameter: Uri = "version"
    """Name of the provenance's external parameter that holds the version."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.minimum is None and not self.artifacts:
            raise ValueError("give minimum or artifacts")
        return self


class AcceptedTrustRoot(Model):
    """One trusted_root.json that is accepted."""

    digest: DigestText
    """SHA-256 of the file's bytes."""
    confirmed: Moment
    """When somebody last saw that this is the instance's current one, such as through TUF."""


class TrustRootRule(Model):
    """Which trust roots are believed: an old one has keys that were withdrawn since, and nothing in it says so."""

    accepted: Annotated[tuple[AcceptedTrustRoot, ...], Field(min_length=1)]
    """The files that may be used, by their digests."""
    max_age: Span | None = None
    """How long after `confirmed` one may still be used. For ever where this is not given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a policy was read from, and what its reader demanded of it."""

    folder: Path = Path()
    """What the paths in it are relative to."""
    digest: Digest | None = None
    """Of the file's bytes; None for a policy that was made by a program."""
    minimum_version: int = 0
    """The least `version` that it must have."""


class Policy(Model):
    """The whole of the policy file."""

    schema_version: Literal[1]
    """Version of this file's format."""
    version: Annotated[int, Field(ge=1)] | None = None
    """Number of this policy, raised with each change. Who verifies may demand a least one (`--minimum-policy`), so that
    an older policy is not put back (P19)."""
    expires: Moment | None = None
    """When this policy ends: nothing is accepted by it afterwards."""
    identities: Annotated[dict[Name, IdentityRule], Field(min_length=1)]
    """Who may sign, by a name that the rules use."""
    statements: tuple[StatementRule, ...] = ()
    """The statements that must be there."""
    signature: SignatureRule | None = None
    """A bare signature that must be there, for files that are signed without a statement."""
    layout: LayoutRule | None = None
    """An in-toto layout that the release must fulfil."""
    source: SourceRule | None = None
    """What the provenance must say of the source. Needed where provenance is required."""
    builders: tuple[Uri, ...] = ()
    """The builder ids that the provenance may name. Needed where provenance is required."""
    versions: VersionRule | None = None
    """The least version that may still be deployed, by the provenance."""
    freshness: FreshnessRule | None = None
    """How old signatures may be. Of any age where this is not given."""
    evidence: EvidenceRule = EvidenceRule()
    """How much log and time each signature must bring along."""
    formats: Annotated[tuple[Format, ...], Field(min_length=1)] = (Format.BUNDLE,)
    """How signatures may be stored in a registry. A `.sig` of cosign's legacy format counts as the statement
    `https://sigstore.dev/cosign/sign/v1` about the artifact that it names, an `.att` as the statement in it."""
    trust_root: TrustRootRule | None = None
    """Which trust roots are believed. Any that is given where this is not."""
    max_subjects: Annotated[int, Field(ge=1, le=MAX_SUBJECTS)] = MAX_SUBJECTS
    """Most subjects in one statement (P8)."""

    _origin: Origin = PrivateAttr(default=Origin())

    @property
    def origin(self) -> Origin:
        """Where this policy was read from."""
        return self._origin

    def read_from(self, origin: Origin) -> Policy:
        """This policy, read from `origin`."""
        copy = self.model_copy()
        copy._origin = origin  # noqa: SLF001 - of this class
        return copy

    @property
    def has_expressions(self) -> bool:
        """Whether it names anybody by an expression, which may admit more than it means to."""
        rules = self.identities.values()
        return any(rule.issuer_reg_exp is not None or rule.subject_reg_exp is not None for rule in rules)

    @property
    def files(self) -> tuple[str, ...]:
        """The files that it names, relative to its folder, each once: who copies a policy copies these with it."""
        rules = list(self.identities.values())
        named = [
            *(rule.key for rule in rules),
            *(item.bundle for rule in rules for item in rule.reachable.values()),
            self.layout and self.layout.file,
            self.source and self.source.reachable and self.source.reachable.bundle,
        ]
        return tuple(dict.fromkeys(name for name in named if name))

    @field_validator("formats")
    @classmethod
    def _each_once(cls, formats: tuple[Format, ...]) -> tuple[Format, ...]:
        if len(set(formats)) != len(formats):
            raise ValueError("a format stands twice")
        return formats

    @model_validator(mode="after")
    def _refers_to_what_exists(self) -> Self:
        rules: list[tuple[str, StatementRule | SignatureRule | LayoutRule]] = [
            (f"statements[{index}]", rule) for index, rule in enumerate(self.statements)
        ]
        rules += [("signature", self.signature)] if self.signature else []
        rules += [("layout", self.layout)] if self.layout else []
        for place, rule in rules:
            for name in rule.identities:
                if name not in self.identities:
                    raise ValueError(
                        f"{place}.identities: no identity {name!r}; identities: {', '.join(self.identities)}"
                    )
            if len(set(rule.identities)) != len(rule.identities):
                raise ValueError(f"{place}.identities: an identity stands twice")
        if self.signature and self.signature.threshold > len(self.signature.identities):
            raise ValueError("signature.threshold: is more than there are identities")
        return self

    @model_validator(mode="after")
    def _demands_something(self) -> Self:
        if not self.statements and self.signature is None:
            raise ValueError("statements: at least one statement must be required, or a signature")
        provenance = any(rule.predicate_type == SLSA_PROVENANCE_V1 for rule in self.statements)
        for field, given in (("source", self.source), ("builders", self.builders), ("versions", self.versions)):
            if given and not provenance:
                raise ValueError(f"{field}: is compared with provenance, and statements requires none")
        if provenance and (self.source is None or not self.builders):
            raise ValueError("source and builders are needed, because provenance is required")
        return self

    @model_validator(mode="after")
    def _shows_the_time(self) -> Self:
        evidence = self.evidence
        keyless = any(rule.key is None for rule in self.identities.values())
        if keyless and evidence.log_entries == 0 and evidence.timestamps == 0:
            raise ValueError(
                "evidence: a certificate lives minutes; without log and timestamp nobody knows when it signed"
            )
        return self
