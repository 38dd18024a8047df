"""From the words of a command line to what is to be verified.

How a word is read depends on its form first and on the disk last, and never on what a file holds: who fills a folder
must not decide what is verified of it (P15).

| word | meaning |
|---|---|
| `sha256:…` | the digest of an artifact whose bundles are given |
| `HOST/PATH@sha256:…`, `HOST/PATH:TAG` | an artifact in a registry |
| `oci://HOST/PATH` with `:TAG`, `@sha256:…` or neither | the same, or all tags of a repository |
| a folder with a file `oci-layout` | an OCI image layout |
| another folder | artifacts and their bundles |
| a file | an artifact, with the bundles that are given, or those beside it |

`HOST` has a dot or a port, or is `localhost`. Where a file is called like that, too, write `./` or `oci://` before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dhallmark.digest import Digest
from dhallmark.errors import FormatError, UsageError
from dhallmark.verify.files import FileTarget, bundles_beside, is_bundle
from dhallmark.verify.target import FolderTarget, LayoutTarget, Target

if TYPE_CHECKING:
    from dhallmark.verify.reference import Reference

_SCHEME: Final = "oci://"
_DIGEST: Final = "sha256:"
_LAYOUT: Final = "oci-layout"


def parse_target(
    word: str,
    *,
    refer: Callable[[Reference], Target],
    bundles: Sequence[Path] = (),
    name: str | None = None,
) -> Target:
    """What `word` names. `refer` makes a target of a reference; `bundles` are given with the word, and go with a file
    or a digest alone; `name` is what statements must call the artifact. Raises UsageError."""
    if not word or not word.isprintable():
        raise UsageError(f"{word!a} is no name of anything that can be verified")
    given = tuple(str(path) for path in bundles)
    for path in given:
        if not path.isprintable():
            raise UsageError(f"--bundle {path!a} is no name that can be printed")
    if word.startswith(_DIGEST):
        return _digest(word, given, name)
    reference = _reference(word)
    if reference is not None:
        if given:
            raise UsageError(
                "--bundle goes with a file or a digest", hint="a registry has an artifact's bundles itself"
            )
        return refer(reference)
    return _path(word, given, name)


def _digest(word: str, bundles: tuple[str, ...], name: str | None) -> FileTarget:
    try:
        digest = Digest(word)
    except FormatError as error:
        raise UsageError(error.message, hint=error.hint) from error
    if not bundles:
        raise UsageError(f"nothing is known of {word}", hint="give its bundles with --bundle")
    return FileTarget(subject=word, artifact=digest, bundles=bundles, name=name)


def _reference(word: str) -> Reference | None:
    """The reference that `word` is by its form. None for a path. Raises UsageError for what may be both."""
    bare = word.removeprefix(_SCHEME)
    host, _, rest = bare.partition("/")
    # Without tag or digest it is more likely a path that was misspelt, and nothing to ask a network about.
    whole = "@" in rest or ":" in rest
    named = whole and host not in (".", "..") and ("." in host or ":" in host or host == "localhost")
    if bare == word and not named:
        return None
    if bare == word and Path(word).exists():
        raise UsageError(f"{word} may be a file or a place in a registry", hint=f"write ./{word} or oci://{word}")
    from dhallmark.verify.reference import Reference

    return Reference.parse_any(bare)


def _path(word: str, bundles: tuple[str, ...], name: str | None) -> Target:
    path = Path(word)
    if path.is_dir():
        if bundles:
            raise UsageError("--bundle goes with a file or a digest", hint="a folder has its bundles inside")
        # Not `exists`: a link that leads nowhere counts, so that nobody hides what the folder is.
        layout = any(entry.name == _LAYOUT for entry in path.iterdir())
        return LayoutTarget(path, name) if layout else FolderTarget(path, name)
    if is_bundle(path.name) and not bundles:
        raise UsageError(f"{word} is a bundle", hint="give its artifact, or the artifact's digest with --bundle")
    if not path.exists():
        raise UsageError(f"there is no {word}", hint="a place in a registry is written oci://REGISTRY/REPOSITORY:TAG")
    return FileTarget(subject=word, artifact=word, bundles=bundles or bundles_beside(path), name=name)
