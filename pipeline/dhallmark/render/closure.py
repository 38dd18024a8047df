"""The record of a release's imports and normal forms: `resolve/closure.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, PlainSerializer, PlainValidator, ValidationError, model_validator

from dhallmark import strictjson
from dhallmark.config.base import Model, Name
from dhallmark.digest import Digest
from dhallmark.errors import FormatError
from dhallmark.files import write_if_changed


def _digest(value: object) -> Digest:
    if not isinstance(value, str):
        raise ValueError("not a digest")  # noqa: TRY004 - pydantic reports ValueError with the field's path
    try:
        return Digest(value)
    except FormatError as error:
        raise ValueError(str(error)) from error


DigestField = Annotated[Digest, PlainValidator(_digest), PlainSerializer(str, return_type=str)]


class Import(Model):
    """One import that took part in a normal form."""

    id: str
    """Path or URL, then ` as Text` or ` as Bytes` where it is not code; names it in `imports`."""
    kind: Literal["local", "remote"]
    path: str | None = None
    """Of a local import: relative to the project's root, with `/`."""
    url: str | None = None
    """Of a remote import."""
    mode: Literal["code", "text", "bytes"] = "code"
    sha256: DigestField
    """Of a local import, the digest of the file's bytes. A remote import is taken from the cache where it is there,
    and then its source is never seen: what travels, and what is read, is its cache entry, and this is the digest of
    that entry's bytes. It equals `semanticHash`, by Dhall's definition of it."""
    semantic_hash: DigestField
    """SHA-256 of the binary encoding of its normal form (Dhall standard, "Semantic integrity checks")."""
    frozen: bool
    """True where a `sha256:` in a source pins it."""
    imports: tuple[str, ...] = ()
    """What it imports itself, sorted. Nothing for a remote import: its hash covers all that it yields."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        place = self.path if self.kind == "local" else self.url
        if place is None or (self.path is not None and self.url is not None):
            raise ValueError("a local import has a path, a remote one a url")
        if self.kind == "remote" and not (self.frozen and self.sha256 == self.semantic_hash):
            raise ValueError("a remote import is frozen, and its sha256 is its semantic hash")
        return self


class UnitRecord(Model):
    """What one unit was made of."""

    environment: Name
    application: Name
    entries: tuple[str, ...]
    """Ids of the imports that its expression names: the entry, then the environment's values where it has some."""
    semantic_hash: DigestField
    """Of the unit's normal form, `resolve/normal/<environment>/<application>.dhallb`. Identifies the render."""


class Closure(Model):
    """All imports of a release, or of a shard of it, and its units."""

    schema_name: Literal["dhallmark.dev/closure/v1"] = Field(default="dhallmark.dev/closure/v1", alias="schema")
    dhall: str
    """Version of the `dhall` program."""
    imports: tuple[Import, ...]
    """Sorted by id."""
    units: tuple[UnitRecord, ...]
    """Sorted by environment, then application."""

    def frozen_entries(self) -> tuple[Digest, ...]:
        """The semantic hashes of the frozen imports, whose cache entries travel with the release; sorted."""
        return tuple(sorted({item.semantic_hash for item in self.imports if item.frozen}))

    def unit(self, environment: str, application: str) -> UnitRecord:
        """The record of one unit. Raises FormatError where there is none."""
        for record in self.units:
            if (record.environment, record.application) == (environment, application):
                return record
        raise FormatError(
            f"closure.json holds no unit {environment}/{application}", hint="run `dhallmark resolve` again"
        )

    def of_unit(self, environment: str, application: str) -> tuple[Import, ...]:
        """The imports that took part in one unit, sorted by id."""
        known = {item.id: item for item in self.imports}
        seen: set[str] = set()
        pending = list(self.unit(environment, application).entries)
        while pending:
            name = pending.pop()
            if name not in seen:
                seen.add(name)
                pending.extend(known[name].imports)
        return tuple(known[name] for name in sorted(seen))


def closure_bytes(closure: Closure) -> bytes:
    """`closure` as the one text of closure.json."""
    return strictjson.dump(closure.model_dump(mode="json", by_alias=True, exclude_none=True))


def write_closure(closure: Closure, path: Path) -> None:
    """Write closure.json. Raises OSError."""
    write_if_changed(path, closure_bytes(closure))


def parse_closure(content: bytes) -> Closure:
    """Read closure.json's bytes. Raises FormatError."""
    try:
        closure = Closure.model_validate(strictjson.parse(content, what="closure.json"))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise FormatError(f"closure.json: {field}: {first['msg']}") from error
    known = {item.id for item in closure.imports}
    named = {name for item in closure.imports for name in item.imports} | {
        name for unit in closure.units for name in unit.entries
    }
    if missing := sorted(named - known):
        raise FormatError(f"closure.json names {missing[0]!r} and does not record it")
    return closure


def load_closure(build: Path) -> Closure:
    """Read `<build>/resolve/closure.json`. Raises FormatError."""
    path = build / "resolve" / "closure.json"
    try:
        return parse_closure(path.read_bytes())
    except FileNotFoundError as error:
        raise FormatError(f"{path} is not there", hint="run `dhallmark resolve` first") from error


def merge_closures(a: Closure, b: Closure) -> Closure:
    """The closure of the shards `a` and `b` together, equal to that of an undivided run.

    Raises FormatError where they disagree about an import or a unit, or come from different versions of Dhall.
    """
    if a.dhall != b.dhall:
        raise FormatError(
            f"shards made by different versions of dhall: {a.dhall} and {b.dhall}", hint="use one image for all shards"
        )
    imports = {item.id: item for item in a.imports}
    for item in b.imports:
        other = imports.setdefault(item.id, item)
        # One shard may see an import pinned where the other sees it unpinned; all else must be the same.
        if other.model_copy(update={"frozen": item.frozen}) != item:
            raise FormatError(f"shards disagree about {item.id}", hint="were they made from the same commit?")
        if item.frozen and not other.frozen:
            imports[item.id] = item
    units = {(unit.environment, unit.application): unit for unit in a.units}
    for unit in b.units:
        if units.setdefault((unit.environment, unit.application), unit) != unit:
            raise FormatError(
                f"shards disagree about {unit.environment}/{unit.application}",
                hint="were they made from the same commit?",
            )
    return Closure(
        dhall=a.dhall,
        imports=tuple(imports[name] for name in sorted(imports)),
        units=tuple(units[name] for name in sorted(units)),
    )
