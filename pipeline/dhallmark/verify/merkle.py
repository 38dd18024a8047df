"""Inclusion proofs in a log's Merkle tree.

Source: RFC 6962, section 2.1; the algorithm is RFC 9162's, section 2.1.3.2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from dhallmark.errors import FormatError

_HASH_BYTES = 32


def root_of(leaf: bytes, *, index: int, size: int, hashes: Sequence[bytes]) -> bytes:
    """The root of the tree of `size` leaves whose leaf number `index` is `leaf`, by the path `hashes`.

    Raises FormatError where the path is not of the length that index and size demand.
    """
    if not 0 <= index < size:
        raise FormatError(f"the index {index} is not in a tree of {size} leaves")
    node, last = index, size - 1
    found = hashlib.sha256(b"\0" + leaf).digest()
    for sibling in hashes:
        if last == 0:
            raise FormatError("the path is longer than the tree is high")
        if len(sibling) != _HASH_BYTES:
            raise FormatError(f"a hash of {len(sibling)} bytes in the path")
        if node & 1 or node == last:
            found = hashlib.sha256(b"\1" + sibling + found).digest()
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            found = hashlib.sha256(b"\1" + found + sibling).digest()
        node >>= 1
        last >>= 1
    if last != 0:
        raise FormatError("the path is shorter than the tree is high")
    return found
