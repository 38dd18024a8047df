"""Who signs, as the functions are told."""

from __future__ import annotations

from typing import cast

import dagger
import pytest

from dhallmark.module.steps import Signer

SECRET = cast("dagger.Secret", object())


@pytest.mark.parametrize(
    "given",
    [{"token": SECRET}, {"key": SECRET}, {"key": SECRET, "key_password": SECRET}],
    ids="+".join,
)
def test_one_of_token_and_key_signs(given: dict[str, dagger.Secret]) -> None:
    Signer(**given)


@pytest.mark.parametrize(
    "given",
    [{}, {"token": SECRET, "key": SECRET}, {"token": SECRET, "key_password": SECRET}, {"key_password": SECRET}],
    ids=lambda one: "+".join(one) or "none",
)
def test_both_or_none_is_refused(given: dict[str, dagger.Secret]) -> None:
    with pytest.raises(ValueError, match="key"):
        Signer(**given)
