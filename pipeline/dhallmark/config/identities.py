"""The part of the policy that says who somebody is: a certificate's identity, or a managed key."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from dhallmark.config.base import Model, RelativePath
from dhallmark.config.values import Moment
from dhallmark.identity import EXTENSION_OIDS, SubjectKind

CommitExtension = Literal["sourceRepositoryDigest", "buildSignerDigest", "buildConfigDigest"]
_KEYLESS = ("issuer", "issuer_reg_exp", "subject", "subject_reg_exp", "subject_kind", "extensions", "reachable")


class ReachableRule(Model):
    """That a commit stands on a branch of the real repository: an id alone may be a fork's, whose commits the forge
    serves under the repository's own name.

    It is looked up offline, in a file that `git bundle create FILE BRANCH…` wrote in a clone that you trust.
    """

    bundle: RelativePath
    """The Git bundle, relative to the policy file."""
    branches: Annotated[
        tuple[Annotated[str, Field(pattern=r"^refs/[A-Za-z0-9][A-Za-z0-9._/-]*$")], ...], Field(min_length=1)
    ]
    """Full names of the branches in it, such as `refs/heads/main`; the commit must be reachable from one of them."""


class IdentityRule(Model):
    """One identity that may sign: what a certificate says of its owner, or a managed key.

    A certificate is described by an issuer and a subject, each exact or by an expression, and by as many of Fulcio's
    extensions as are known. Expressions are RE2 and match the whole text: an unanchored `org/repo` would also admit
    `org/repo-evil`. `dhallmark policy check` shows which look-alikes an expression lets in.
    """

    issuer: str | None = None
    """URL of the OIDC issuer, exactly."""
    issuer_reg_exp: str | None = None
    """Expression for the issuer's URL, instead of `issuer`."""
    subject: str | None = None
    """The certificate's subject alternative name, exactly: a workflow's URI, an e-mail address."""
    subject_reg_exp: str | None = None
    """Expression for the subject, instead of `subject`."""
    subject_kind: SubjectKind | None = None
    """What the subject must be in the certificate: a URI, an e-mail address or another name. An exact `subject` that
    looks like an e-mail address must be one; anything else must be a URI, unless this says otherwise."""
    extensions: dict[str, str | Annotated[tuple[str, ...], Field(min_length=1)]] = Field(default_factory=dict)
    """Fulcio extensions by name, exactly; a list allows any of its values, such as the commits of a workflow in
    `buildSignerDigest`. The deprecated extensions (OIDs 1.1 to 1.6 below Fulcio's arc) have no name here: Fulcio
    writes what they say into newer ones, too, all but a workflow's display name, which anyone chooses."""
    reachable: dict[CommitExtension, ReachableRule] = Field(default_factory=dict)
    """For extensions that hold a commit: that it stands on a branch of the real repository."""
    key: RelativePath | None = None
    """A public key in PEM, relative to the policy file, instead of issuer and subject: who holds the private key is
    this identity."""
    valid_from: Moment | None = None
    """For a key: signatures of an earlier time do not count."""
    valid_until: Moment | None = None
    """For a key: signatures of a later time do not count."""

    @property
    def kind(self) -> SubjectKind:
        """What the subject must be; of no meaning for a key."""
        if self.subject_kind is not None:
            return self.subject_kind
        exact = self.subject or ""
        return SubjectKind.EMAIL if "@" in exact and "/" not in exact else SubjectKind.URI

    @field_validator("issuer_reg_exp", "subject_reg_exp")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        import re2  # Late: the Dagger module reads the configuration alone, and starts faster without.

        if pattern is not None:
            quiet = re2.Options()
            quiet.log_errors = False  # It would write to standard error by itself.
            try:
                re2.compile(pattern, quiet)
            except re2.error as error:
                said = error.args[0] if error.args else ""
                shown = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
                raise ValueError(f"not an RE2 expression: {shown}") from error
        return pattern

    @field_validator("extensions")
    @classmethod
    def _known(cls, extensions: dict[str, str | tuple[str, ...]]) -> dict[str, str | tuple[str, ...]]:
        for name in extensions:
            if name not in EXTENSION_OIDS:
                raise ValueError(f"no Fulcio extension {name!r}; known: {', '.join(EXTENSION_OIDS)}")
        return extensions

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.key is not None:
            beside = [name for name in _KEYLESS if getattr(self, name)]
            if beside:
                raise ValueError("a key stands alone: an identity is a key, or an issuer and a subject")
            if self.valid_from is not None and self.valid_until is not None and self.valid_from >= self.valid_until:
                raise ValueError("validUntil: must be after validFrom")
            return self
        if self.valid_from is not None or self.valid_until is not None:
            raise ValueError("validFrom and validUntil are for a key; a certificate has a validity of its own")
        # An identity without issuer or without subject admits strangers (C12, C13).
        if (self.issuer is None) == (self.issuer_reg_exp is None):
            raise ValueError("give exactly one of issuer and issuerRegExp, or a key")
        if (self.subject is None) == (self.subject_reg_exp is None):
            raise ValueError("give exactly one of subject and subjectRegExp, or a key")
        if "" in (self.issuer, self.issuer_reg_exp, self.subject, self.subject_reg_exp):
            raise ValueError("issuer and subject must not be empty")
        return self
