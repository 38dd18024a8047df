"""The model of the policy file: who may sign what, and what else must hold before anything is deployed."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from dhallmark.config.model import Model, Name
from dhallmark.identity import EXTENSION_OIDS

PolicyStep = Literal["resolve", "render", "package", "publish", "verify", "rebuild"]


class IdentityRule(Model):
    """One identity that may sign: an issuer and a subject, each exact or by a regular expression.

    Expressions are RE2 and match the whole text: an unanchored `org/repo` would also admit `org/repo-evil` (C10).
    """

    issuer: str | None = None
    """URL of the OIDC issuer, exactly."""
    issuer_reg_exp: str | None = None
    """Expression for the issuer's URL, instead of `issuer`."""
    subject: str | None = None
    """The certificate's subject alternative name, exactly: a workflow's URI, an e-mail address."""
    subject_reg_exp: str | None = None
    """Expression for the subject, instead of `subject`."""
    extensions: dict[str, str | tuple[str, ...]] = Field(default_factory=dict)
    """Fulcio extensions by name; a list allows any of its values."""

    @field_validator("issuer_reg_exp", "subject_reg_exp")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        import re2

        if pattern is not None:
            try:
                re2.compile(pattern)
            except re2.error as error:
                raise ValueError(f"not an RE2 expression: {error}") from error
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
        # An identity without issuer or without subject admits strangers (C12, C13).
        if (self.issuer is None) == (self.issuer_reg_exp is None):
            raise ValueError("give exactly one of issuer and issuerRegExp")
        if (self.subject is None) == (self.subject_reg_exp is None):
            raise ValueError("give exactly one of subject and subjectRegExp")
        return self


class StatementRule(Model):
    """One statement that must be there, validly signed, about the artifact."""

    predicate_type: str
    """URI of the statement's predicate type."""
    identities: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Names of `identities`; any one of them may sign it."""
    steps: tuple[PolicyStep, ...] = ()
    """For links: the steps that must each be there, each using what the one before it made."""


class SourceRule(Model):
    """What the provenance must say of the source."""

    repository: str
    """URI of the Git repository that the provenance must name."""
    allow_dirty: bool = False
    """True lets a release from an uncommitted tree through."""


class Policy(Model):
    """The whole of the policy file."""

    schema_version: Literal[1]
    """Version of this file's format."""
    identities: Annotated[dict[Name, IdentityRule], Field(min_length=1)]
    """Who may sign, by a name that `statements` use."""
    statements: Annotated[tuple[StatementRule, ...], Field(min_length=1)]
    """The statements that must be there."""
    source: SourceRule
    """What the provenance must say of the source."""
    builders: Annotated[tuple[str, ...], Field(min_length=1)]
    """The builder ids that the provenance may name."""
    max_subjects: Annotated[int, Field(ge=1)] = 1024
    """Most subjects in one statement (P8)."""

    @model_validator(mode="after")
    def _refers_to_what_exists(self) -> Self:
        for index, rule in enumerate(self.statements):
            for name in rule.identities:
                if name not in self.identities:
                    raise ValueError(
                        f"statements[{index}].identities: no identity {name!r}; "
                        f"identities: {', '.join(self.identities)}"
                    )
        return self
