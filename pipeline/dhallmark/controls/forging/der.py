"""The few DER encodings that a forged timestamp and certificate need (X.690, section 10)."""

from __future__ import annotations

from datetime import datetime

from cryptography.x509 import ObjectIdentifier

_LONG_FORM = 0x80


def element(tag: int, *content: bytes) -> bytes:
    """An element with a tag of one byte."""
    body = b"".join(content)
    size = len(body)
    if size < _LONG_FORM:
        return bytes([tag, size]) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, _LONG_FORM | len(length)]) + length + body


def sequence(*items: bytes) -> bytes:
    return element(0x30, *items)


def set_of(*items: bytes) -> bytes:
    """A SET OF, whose elements DER sorts."""
    return element(0x31, *sorted(items))


def integer(value: int) -> bytes:
    return element(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def octets(content: bytes) -> bytes:
    return element(0x04, content)


def text(content: str) -> bytes:
    return element(0x0C, content.encode())


def null() -> bytes:
    return element(0x05)


def tagged(number: int, *content: bytes) -> bytes:
    """A constructed element with a context-specific tag."""
    return element(0xA0 | number, *content)


def generalized_time(moment: datetime) -> bytes:
    """A GeneralizedTime in whole seconds; `moment` is in UTC."""
    return element(0x18, moment.strftime("%Y%m%d%H%M%SZ").encode())


def oid(identifier: ObjectIdentifier) -> bytes:
    first, second, *rest = (int(part) for part in identifier.dotted_string.split("."))
    return element(0x06, b"".join(_base_128(arc) for arc in (40 * first + second, *rest)))


def _base_128(arc: int) -> bytes:
    digits = [arc & 0x7F]
    while arc := arc >> 7:
        digits.append(arc & 0x7F | 0x80)
    return bytes(reversed(digits))
