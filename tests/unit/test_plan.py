from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.config.model import Config
from dhallmark.errors import UsageError
from dhallmark.plan import Shard, Unit, make_plan


def config(**changes: object) -> Config:
    body: dict[str, Any] = {
        "schemaVersion": 1,
        "project": "acme",
        "version": "1.2.3",
        "source": {"repository": "https://git.example.test/acme/platform"},
        "layers": ["platform", "services"],
        "environments": {"prod": {}, "dev": {}},
        "applications": {
            "web": {"entry": "apps/web.dhall", "layer": "services"},
            "dns": {"entry": "apps/dns.dhall", "layer": "platform", "environments": ["prod"]},
        },
        "publish": {"registry": "registry.example.test", "repository": "acme", "staging": "staging/acme"},
        "policy": "policy.yaml",
    }
    return Config.model_validate(body | changes)


def test_units_stand_in_one_order_whatever_the_order_of_the_file() -> None:
    plan = make_plan(config())
    assert plan.units == (Unit("dev", "web"), Unit("prod", "dns"), Unit("prod", "web"))
    assert plan.environments == ("dev", "prod")
    assert [unit.path for unit in plan.in_environment("prod")] == ["prod/dns", "prod/web"]
    assert plan.application(Unit("prod", "dns")).entry == "apps/dns.dhall"


@given(st.integers(1, 12))
def test_shards_share_out_every_unit_once(count: int) -> None:
    whole = make_plan(config()).units
    shards = [make_plan(config(), shard=Shard(index, count)).units for index in range(1, count + 1)]
    assert sorted(unit for units in shards for unit in units) == list(whole)


@pytest.mark.parametrize("text", ["", "0/2", "3/2", "1", "1/0", "a/b", "-1/2", "1/2/3", "01/2", " 1/2"])
def test_a_wrong_shard_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="not a shard"):
        Shard.parse(text)


def test_a_shard_is_read_as_it_is_written() -> None:
    assert Shard.parse("2/3") == Shard(2, 3)
