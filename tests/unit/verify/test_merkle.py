"""Inclusion proofs, against trees that are built whole and against the sigstore library's own check."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sigstore._internal.merkle import verify_merkle_inclusion
from sigstore.errors import VerificationError

from dhallmark.errors import FormatError
from dhallmark.verify.merkle import root_of


def _leaf(content: bytes) -> bytes:
    return hashlib.sha256(b"\0" + content).digest()


def _tree(leaves: list[bytes]) -> bytes:
    """The root by the definition (RFC 6962, section 2.1)."""
    if len(leaves) == 1:
        return _leaf(leaves[0])
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + _tree(leaves[:split]) + _tree(leaves[split:])).digest()


def _path(index: int, leaves: list[bytes]) -> list[bytes]:
    """The path by the definition (RFC 6962, section 2.1.1)."""
    if len(leaves) == 1:
        return []
    split = 1 << (len(leaves) - 1).bit_length() - 1
    if index < split:
        return [*_path(index, leaves[:split]), _tree(leaves[split:])]
    return [*_path(index - split, leaves[split:]), _tree(leaves[:split])]


def _leaves(size: int) -> list[bytes]:
    return [f"leaf {number}".encode() for number in range(size)]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 9, 31, 33])
def test_every_leaf_leads_to_the_root(size: int) -> None:
    leaves = _leaves(size)
    for index, leaf in enumerate(leaves):
        assert root_of(leaf, index=index, size=size, hashes=_path(index, leaves)) == _tree(leaves)


@given(st.integers(1, 40), st.data())
def test_the_library_agrees_on_right_and_wrong_proofs(size: int, data: st.DataObject) -> None:
    leaves = _leaves(size)
    index = data.draw(st.integers(0, size - 1))
    claimed = data.draw(st.one_of(st.just(index), st.integers(0, size + 2)))
    claimed_size = data.draw(st.one_of(st.just(size), st.integers(1, 42)))
    hashes = data.draw(
        st.one_of(st.just(_path(index, leaves)), st.lists(st.binary(min_size=32, max_size=32), max_size=7))
    )
    proof = SimpleNamespace(log_index=claimed, tree_size=claimed_size, hashes=hashes, root_hash=_tree(leaves))
    try:
        verify_merkle_inclusion(
            SimpleNamespace(_inner=SimpleNamespace(inclusion_proof=proof, canonicalized_body=leaves[index]))  # type: ignore[arg-type]
        )
        library = claimed < claimed_size  # which the library's models refuse
    except VerificationError:
        library = False
    try:
        ours = root_of(leaves[index], index=claimed, size=claimed_size, hashes=hashes) == _tree(leaves)
    except FormatError:
        ours = False
    assert ours is library


@pytest.mark.parametrize(
    ("index", "size", "hashes"),
    [
        (0, 0, []),
        (1, 1, []),
        (-1, 2, [b"x" * 32]),
        (0, 2, []),
        (0, 1, [b"x" * 32]),
        (0, 2, [b"x" * 31]),
        (0, 2**62, [b"x" * 32] * 61),
    ],
)
def test_a_path_that_cannot_be_one_is_an_error(index: int, size: int, hashes: list[bytes]) -> None:
    with pytest.raises(FormatError):
        root_of(b"leaf", index=index, size=size, hashes=hashes)
