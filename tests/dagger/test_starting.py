"""What counts as a container that did not start, and so is tried once more."""

from __future__ import annotations

import pytest
from tests.dagger.conftest import ContainerNotStartedError, telling_not_started

pytestmark = pytest.mark.dagger

OF_RUNC = "runc run failed: unable to start container process: waiting for init preliminary setup: read init-p: reset"
OF_THE_ENGINE = 'cleanup failed: "runc delete container": it did not terminate: container does not exist'


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (AssertionError(f"exit code 1\n{OF_RUNC}\n"), True),
        (RuntimeError(OF_THE_ENGINE), True),
        (ExceptionGroup("a group", [ValueError("x"), ExceptionGroup("another", [RuntimeError(OF_THE_ENGINE)])]), True),
        (AssertionError("exit code 1"), False),
        (ExceptionGroup("a group", [RuntimeError("unable to start container process: no such file")]), False),
    ],
)
def test_a_container_that_did_not_start_is_told_from_one_that_failed(error: Exception, *, told: bool) -> None:
    with pytest.raises(Exception, match=r".") as raised, telling_not_started():
        raise error
    assert isinstance(raised.value, ContainerNotStartedError) == told
    assert told or raised.value is error
