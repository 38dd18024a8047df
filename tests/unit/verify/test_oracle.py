"""sigstore-python's `Verifier` as the oracle: where it reads a form, the two agree on each field that is changed.

The library is looser in places that `docs/adr/0019-verifier-parts.md` lists; so what it refuses, we refuse, and what we
refuse beyond it has one of the reasons of that list.
"""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from sigstore.errors import Error
from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier, policy
from sigstore_models.trustroot.v1 import TrustedRoot as TrustedRootMessage

from dhallmark.digest import Digest
from dhallmark.reasons import Reason
from dhallmark.statement import COSIGN_SIGN_V1, Statement, Subject
from dhallmark.verdict import Outcome
from dhallmark.verify.bundle import verify_bundle
from dhallmark.verify.demands import Demands, SignatureKind
from dhallmark.verify.terms import Terms

if TYPE_CHECKING:
    from tests.unit.verify.conftest import Instance

Json = dict[str, Any]
MESSAGE = b"the bytes of a file"
PAYLOAD = Statement.build(
    predicate_type=COSIGN_SIGN_V1, subjects=[Subject("registry.test/web", Digest.of(b"web"))], predicate={}
).payload
V2 = ("hashedrekord", "0.0.2")
FORMS: dict[str, Callable[[Instance], Json]] = {
    "statement, Rekor v1": lambda i: i.sign(PAYLOAD),
    "statement, Rekor v2": lambda i: i.sign(PAYLOAD, kind=V2, stamps=lambda c: [i.stamp(c)]),
    "message, Rekor v1": lambda i: i.sign_message(MESSAGE),
    "message, Rekor v2": lambda i: i.sign_message(MESSAGE, kind=V2, stamps=lambda c: [i.stamp(c)]),
}
OUR_OWN = {Reason.LOG_ENTRY_MISSING}
"""Any key of the trust root may stand in for a log that is not in it."""
ANYBODY = policy.UnsafeNoOp()


def library_accepts(bundle: Json, verifier: Verifier) -> bool:
    try:
        read = Bundle.from_json(json.dumps(bundle))
        if read._dsse_envelope is not None:
            verifier.verify_dsse(read, ANYBODY)
        else:
            verifier.verify_artifact(MESSAGE, read, ANYBODY)
    except (Error, ValueError):
        return False
    return True


def changes(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:  # noqa: ANN401
    """The paths of all strings."""
    if isinstance(value, str):
        return [path]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, item in items for found in changes(item, (*path, key))]


def change(text: str, position: float) -> str:
    """`text` with one bit or character changed at `position` of its length; it stays base64, or a number."""
    if text.isdigit():
        return str(int(text) + 1)
    try:
        content = bytearray(base64.b64decode(text, validate=True))
    except ValueError:
        content = bytearray()
    if not content:
        index = min(int(len(text) * position), len(text) - 1)
        return text[:index] + ("x" if text[index] != "x" else "y") + text[index + 1 :]
    content[min(int(len(content) * position), len(content) - 1)] ^= 1
    return base64.b64encode(bytes(content)).decode()


@pytest.mark.parametrize("form", FORMS)
def test_the_library_agrees_on_every_changed_field(
    instance: Instance, form: str, caplog: pytest.LogCaptureFixture
) -> None:
    root = json.dumps(instance.trusted_root())
    verifier = Verifier(trusted_root=TrustedRoot(TrustedRootMessage.from_json(root)))
    trust, demands = instance.trust(), Demands(kinds=frozenset(SignatureKind))
    good = FORMS[form](instance)
    assert library_accepts(good, verifier)
    refused = 0
    for path in changes(good):
        for position in (0.0, 0.3, 0.6, 1.0):
            bundle = copy.deepcopy(good)
            holder = bundle
            for key in path[:-1]:
                holder = holder[key]
            holder[path[-1]] = change(holder[path[-1]], position)
            verdict = verify_bundle(json.dumps(bundle).encode(), Terms(trust, demands=demands), message=MESSAGE).verdict
            ours, library = verdict.outcome is Outcome.ACCEPTED, library_accepts(bundle, verifier)
            assert library or not ours, (path, position)
            assert ours or not library or verdict.reasons <= OUR_OWN, (path, position, verdict.reasons)
            refused += not ours
    assert refused > 20
    caplog.clear()
