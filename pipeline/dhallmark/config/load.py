"""Reading `dhallmark.yaml` and policy files: everything that is wrong with one, in one go, each with its line."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from dhallmark.config import strictyaml
from dhallmark.config.base import Model, Name, Repository, Version
from dhallmark.config.docstrings import attribute_docstrings
from dhallmark.config.policy import Origin, Policy
from dhallmark.digest import Digest
from dhallmark.errors import ConfigError, Location

if TYPE_CHECKING:
    from dhallmark.config.model import Config

_M = TypeVar("_M", bound=Model)
_MAX_ERRORS = 20
_UNKNOWN = "extra_forbidden"
_FIELD_IN_MESSAGE = re.compile(r"([A-Za-z][\w-]*(?:\.[\w-]+|\[\d+\])*): (.*)", re.DOTALL)
"""Validators of a whole model begin their message with the path of the field that is to blame."""


def load_config(path: Path) -> Config:
    """The configuration in the file `path`. Raises ConfigError; `others` holds what else is wrong with the file."""
    return parse_config(_read(path, hint="`dhallmark init` writes one"), file=str(path))


def load_policy(path: Path, *, minimum_version: int = 0) -> Policy:
    """The policy in the file `path`. Raises ConfigError; `others` holds what else is wrong with the file.

    Keys and a layout that it names must be there. `minimum_version` is the least `version` that it must have: a policy
    below it is read, and judges `policy.rollback`.
    """
    content = _read(path, hint="`policy` in dhallmark.yaml names this file")
    policy = parse_policy(content, file=str(path), folder=path.parent, minimum_version=minimum_version)
    _require_files(policy, content, file=str(path))
    return policy


def parse_config(content: bytes, *, file: str) -> Config:
    """The configuration that `content` holds; `file` is its name in errors. Raises ConfigError."""
    from dhallmark.config.model import Config

    return _parse(content, Config, file=file)


def parse_policy(content: bytes, *, file: str, folder: Path = Path(), minimum_version: int = 0) -> Policy:
    """The policy that `content` holds; `file` is its name in errors. Raises ConfigError.

    What the policy names is relative to `folder`; it is not looked at here.
    """
    origin = Origin(folder=folder, digest=Digest.of(content), minimum_version=minimum_version)
    return _parse(content, Policy, file=file).read_from(origin)


def _require_files(policy: Policy, content: bytes, *, file: str) -> None:
    """Raise ConfigError for a key or layout that is not there. A Git bundle's absence is the verdict's to tell."""
    wanted: list[tuple[strictyaml.Path, str | None]] = [
        (("identities", name, "key"), rule.key) for name, rule in policy.identities.items()
    ]
    wanted.append((("layout", "file"), policy.layout.file if policy.layout else None))
    missing = [(place, name) for place, name in wanted if name and not (policy.origin.folder / name).is_file()]
    if missing:
        document = strictyaml.parse(content, file=file)
        first, *others = [
            ConfigError(f"there is no file {name!r} beside the policy", where=document.location(place, file=file))
            for place, name in missing
        ]
        raise ConfigError(first.message, where=first.where, others=tuple(others))


def _read(path: Path, *, hint: str) -> bytes:
    where = Location(file=str(path))
    try:
        with path.open("rb") as file:
            # One byte more than allowed: enough to be refused, whatever the file's size.
            return file.read(strictyaml.MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise ConfigError("there is no such file", where=where, hint=hint) from error
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=where) from error
    except ValueError as error:  # A path with a null character.
        raise ConfigError(f"cannot be read: {error}", where=where) from error


def _parse(content: bytes, model: type[_M], *, file: str) -> _M:
    document = strictyaml.parse(content, file=file)
    try:
        return model.model_validate(document.value, by_alias=True, by_name=False)
    except ValidationError as error:
        details = error.errors(include_url=False)
    misspelt = {(*detail["loc"][:-1], _nearest(detail, model)) for detail in details if detail["type"] == _UNKNOWN}
    errors = [
        _explain(detail, model, document, file=file)
        for detail in details
        # A key that is misspelt is not missing as well.
        if not (detail["type"] == "missing" and tuple(detail["loc"]) in misspelt)
    ]
    errors.sort(key=lambda one: (one.where.line or 0, one.where.column or 0) if one.where else (0, 0))
    first, *others = errors[:_MAX_ERRORS]
    raise ConfigError(first.message, where=first.where, hint=first.hint, others=tuple(others))


def _explain(detail: ErrorDetails, model: type[Model], document: strictyaml.Document, *, file: str) -> ConfigError:
    """One of pydantic's findings in the user's terms."""
    # pydantic adds `[key]` and names of union members.
    path = document.nearest(tuple(detail["loc"]))
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "missing":
        path, message = tuple(detail["loc"][:-1]), f"{detail['loc'][-1]!r} is missing"
    elif detail["type"] == "value_error":
        blamed = _FIELD_IN_MESSAGE.fullmatch(message)
        steps = _steps(blamed[1]) if blamed else ()
        if blamed and (*path, *steps) in document.positions:
            path, message = (*path, *steps), blamed[2]
    elif detail["type"] == _UNKNOWN:
        message = "unknown key"
    elif detail["type"] == "string_pattern_mismatch":
        message = f"{detail['input']!r} is not allowed here"
    return ConfigError(message, where=document.location(path, file=file), hint=_hint(detail, model))


def _hint(detail: ErrorDetails, model: type[Model]) -> str | None:
    location = tuple(detail["loc"])
    match detail["type"]:
        case "extra_forbidden":
            near = _nearest(detail, model)
            known = ", ".join(_keys(_type_at(model, location[:-1])))
            return f"did you mean {near!r}?" if near else f"known keys: {known}"
        case "missing":
            return _description(_type_at(model, location[:-1]), str(location[-1]))
        case "string_type" if isinstance(detail["input"], bool | int | float):
            return "put the value in quotes"
        case "string_pattern_mismatch":
            return _pattern_hints().get(detail.get("ctx", {}).get("pattern", ""))
    return None


def _nearest(detail: ErrorDetails, model: type[Model]) -> str | None:
    """The known key that looks most like an unknown one."""
    import difflib  # Loaded for what is wrong alone.

    *parents, key = detail["loc"]
    near = difflib.get_close_matches(str(key), _keys(_type_at(model, tuple(parents))), n=1, cutoff=0.5)
    return near[0] if near else None


@cache
def _pattern_hints() -> dict[str, str]:
    from pydantic import TypeAdapter

    from dhallmark.config.model import Config

    hints = {
        Name: "a name has lower-case letters, digits and hyphens, at most 53, and starts and ends with no hyphen",
        Version: "a semantic version without build metadata, such as 1.4.0 or 2.0.0-rc.1",
        Repository: "lower-case letters, digits, and between them . _ - and /, such as acme/platform",
    }
    found = {TypeAdapter(kind).json_schema()["pattern"]: hint for kind, hint in hints.items()}
    registry = Config.model_json_schema()["$defs"]["Publish"]["properties"]["registry"]["pattern"]
    return {**found, registry: "host and port alone, such as registry.example or 127.0.0.1:5000; no scheme, no path"}


def _steps(dotted: str) -> strictyaml.Path:
    """`statements[0].identities` as the steps that lead there."""
    return tuple(int(match[1]) if match[1] else match[2] for match in re.finditer(r"\[(\d+)\]|([\w-]+)", dotted))


def _type_at(kind: Any, path: tuple[int | str, ...]) -> Any:  # noqa: ANN401 - an annotation may be anything
    """The annotation of the value at `path` in a model; None where it leads out of the models."""
    kind = _bare(kind)
    if not path:
        return kind
    step, rest = path[0], path[1:]
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        for field in kind.model_fields.values():
            if field.alias == step:
                return _type_at(field.annotation, rest)
        return None
    arguments = get_args(kind)
    if get_origin(kind) is dict:
        return _type_at(arguments[1], rest)
    if get_origin(kind) in (tuple, list):
        return _type_at(arguments[0], rest)
    return None


def _bare(kind: Any) -> Any:  # noqa: ANN401
    """An annotation without `Annotated` and without `| None`."""
    while get_origin(kind) in (Annotated, Union, UnionType):
        members = [member for member in get_args(kind) if member is not type(None)]
        kind = members[0]
    return kind


def _keys(kind: Any) -> list[str]:  # noqa: ANN401
    fields = kind.model_fields.values() if isinstance(kind, type) and issubclass(kind, BaseModel) else ()
    return [field.alias for field in fields if field.alias]


def _description(kind: Any, key: str) -> str | None:  # noqa: ANN401
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            if field.alias == key and name in attribute_docstrings(kind):
                return " ".join(attribute_docstrings(kind)[name].split())
    return None
