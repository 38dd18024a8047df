"""PKCS#11 URIs (RFC 7512): what is heeded, what is refused, and that a PIN never stands in one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.errors import UsageError
from dhallmark.sign.key import open_key
from dhallmark.sign.pkcs11 import MODULE_VARIABLE, Pkcs11Uri
from dhallmark.sign.secret import NoSecret


def test_all_attributes_are_read() -> None:
    uri = Pkcs11Uri.parse(
        "pkcs11:token=Release%20keys;manufacturer=SoftHSM%20project;serial=0a1b;model=SoftHSM%20v2;slot-id=327;"
        "object=prod;id=%01%FF;type=private?pin-source=file:/run/secrets/pin&module-path=/usr/lib/softhsm/libsofthsm2.so"
    )
    assert uri == Pkcs11Uri(
        token={"token": "Release keys", "manufacturer": "SoftHSM project", "serial": "0a1b", "model": "SoftHSM v2"},
        slot=327,
        label="prod",
        key_id=b"\x01\xff",
        module=Path("/usr/lib/softhsm/libsofthsm2.so"),
        pin_file=Path("/run/secrets/pin"),
    )


def test_a_label_alone_names_a_key() -> None:
    assert Pkcs11Uri.parse("pkcs11:object=prod") == Pkcs11Uri(token={}, label="prod")
    assert Pkcs11Uri.parse("pkcs11:id=%01?pin-source=/run/pin").pin_file == Path("/run/pin")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pkcs11:", "names no key"),
        ("pkcs11:token=a", "names no key"),
        ("pkcs11:id=", "names no key"),
        ("pkcs12:object=a", "does not begin with"),
        ("pkcs11:object=a;object=b", "twice"),
        ("pkcs11:object", "breaks the syntax"),
        ("pkcs11:object=a b", "breaks the syntax"),
        ("pkcs11:object=%zz", "breaks the syntax"),
        ("pkcs11:object=a;", "breaks the syntax"),
        ("pkcs11:object=%FF", "not UTF-8"),
        ("pkcs11:object=a;colour=red", "not heeded"),
        ("pkcs11:object=a?token=b", "not heeded"),
        ("pkcs11:object=a;library-version=3", "not heeded"),
        ("pkcs11:object=a;slot-id=x", "slot-id is no number"),
        ("pkcs11:object=a;type=public", "a key of type public does not sign"),
        ("pkcs11:object=a?module-path=lib.so", "must be an absolute path"),
        ("pkcs11:object=a?pin-source=pin", "must be an absolute path"),
        ("pkcs11:object=a?pin-source=|/bin/ask", "names a program"),
    ],
)
def test_what_would_not_be_heeded_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Pkcs11Uri.parse(text)


@pytest.mark.parametrize("text", ["pkcs11:object=a?pin-value=hunter2", "pkcs11:pin-value=hunter2;object=a"])
def test_a_pin_in_the_uri_is_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(UsageError, match="must not stand in the URI") as caught:
        Pkcs11Uri.parse(text)
    assert "hunter2" not in str(caught.value)


def test_a_library_must_be_named_by_an_absolute_path(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("", "libsofthsm2.so"):
        monkeypatch.setenv(MODULE_VARIABLE, value)
        with (
            pytest.raises(UsageError, match="no PKCS#11 library is named"),
            open_key("pkcs11:object=a", secret=NoSecret()),
        ):
            pass


@given(
    st.text(alphabet="pkcs11:;=&?%objectidtoken-ulepinsourvah/ \x00é", max_size=60).map(lambda text: f"pkcs11:{text}")
)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        uri = Pkcs11Uri.parse(text)
    except UsageError:
        return
    assert uri.label is not None or uri.key_id
