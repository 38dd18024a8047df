"""Engines get address ranges that nobody uses, and what they leave in the host's tables is found and nothing else."""

from collections.abc import Sequence
from ipaddress import IPv4Network

import pytest

from toolchain.network import Network, chains_of, cleanup_commands, free_slot, remove, routed_networks

ROUTES = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
dhm0\t0000570A\t00000000\t0001\t0\t0\t0\t00F0FFFF\t0\t0\t0
"""

FURNITURE = """*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:CNI-ADMIN - [0:0]
:CNI-FORWARD - [0:0]
-A FORWARD -m comment --comment "CNI firewall plugin rules" -j CNI-FORWARD
-A CNI-FORWARD -m comment --comment "CNI firewall plugin admin overrides" -j CNI-ADMIN
"""

OURS = """-A CNI-FORWARD -d 10.87.0.2/32 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A CNI-FORWARD -s 10.87.0.2/32 -j ACCEPT
COMMIT
*nat
:POSTROUTING ACCEPT [0:0]
:CNI-40aa - [0:0]
-A POSTROUTING -s 10.87.0.2/32 -m comment --comment "name: \\"dhm0x\\" id: \\"jib\\"" -j CNI-40aa
-A CNI-40aa -d 10.87.0.0/20 -m comment --comment "name: \\"dhm0x\\" id: \\"jib\\"" -j ACCEPT
-A CNI-40aa ! -d 224.0.0.0/4 -m comment --comment "name: \\"dhm0x\\" id: \\"jib\\"" -j MASQUERADE
COMMIT
"""

FOREIGN_RULE = "-A CNI-FORWARD -s 10.87.16.9/32 -j ACCEPT\n"


def test_routes_are_read_without_the_default() -> None:
    assert routed_networks(ROUTES) == [IPv4Network("192.168.1.0/24"), IPv4Network("10.87.0.0/20")]


@pytest.mark.parametrize(
    ("taken", "routes", "expected"),
    [
        ([], [], 0),
        ([0, 1], [], 2),
        ([], ["10.87.0.0/20"], 1),
        ([1], ["10.87.0.0/24"], 2),
        ([], ["10.0.0.0/8"], None),
        (range(16), [], None),
    ],
)
def test_first_free_range_is_taken(taken: list[int], routes: list[str], expected: int | None) -> None:
    assert free_slot(taken=taken, routes=[IPv4Network(route) for route in routes]) == expected


def test_bridge_names_fit_the_kernel_and_ranges_do_not_overlap() -> None:
    networks = [Network(slot=slot) for slot in range(16)]
    assert all(len(network.bridge) < 16 for network in networks)
    assert len({network.bridge for network in networks}) == 16
    assert not any(one.cidr.overlaps(two.cidr) for one in networks for two in networks if one != two)


def test_everything_of_the_last_engine_goes_with_its_chains() -> None:
    planned = [
        " ".join(arguments) for arguments in cleanup_commands(FURNITURE + OURS, Network(slot=0), chains_before=[])
    ]
    assert planned == [
        '-t nat -D POSTROUTING -s 10.87.0.2/32 -m comment --comment name: "dhm0x" id: "jib" -j CNI-40aa',
        "-t filter -D FORWARD -m comment --comment CNI firewall plugin rules -j CNI-FORWARD",
        "-t nat -F CNI-40aa",
        "-t filter -F CNI-FORWARD",
        "-t filter -F CNI-ADMIN",
        "-t nat -X CNI-40aa",
        "-t filter -X CNI-FORWARD",
        "-t filter -X CNI-ADMIN",
    ]


@pytest.mark.parametrize(
    ("saved", "before"),
    [
        pytest.param(FURNITURE + FOREIGN_RULE + OURS, [], id="another engine's rule is in the shared chain"),
        pytest.param(FURNITURE + OURS, ["filter/CNI-FORWARD", "filter/CNI-ADMIN"], id="the chains were there before"),
    ],
)
def test_shared_chains_stay_for_others(saved: str, before: list[str]) -> None:
    planned = [" ".join(arguments) for arguments in cleanup_commands(saved, Network(slot=0), chains_before=before)]
    assert planned == [
        "-t filter -D CNI-FORWARD -d 10.87.0.2/32 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-t filter -D CNI-FORWARD -s 10.87.0.2/32 -j ACCEPT",
        '-t nat -D POSTROUTING -s 10.87.0.2/32 -m comment --comment name: "dhm0x" id: "jib" -j CNI-40aa',
        "-t nat -F CNI-40aa",
        "-t nat -X CNI-40aa",
    ]


@pytest.mark.parametrize(
    "saved",
    [
        pytest.param("*filter\n-A FORWARD -s 0.0.0.0/0 -j ACCEPT\nCOMMIT\n", id="a rule for all addresses"),
        pytest.param("*filter\n-A FORWARD -i dhm0x01 -j DROP\nCOMMIT\n", id="an interface of a similar name"),
        pytest.param(
            '*nat\n-A POSTROUTING -m comment --comment "name: \\"dhm0xy\\"" -j ACCEPT\n', id="a similar network"
        ),
        pytest.param("*nat\n:DOCKER - [0:0]\n-A PREROUTING -s 172.17.0.2/32 -j DOCKER\nCOMMIT\n", id="Docker's"),
    ],
)
def test_rules_of_others_are_not_touched(saved: str) -> None:
    assert cleanup_commands(saved, Network(slot=0), chains_before=[]) == []


def test_chains_are_listed_with_their_table() -> None:
    assert chains_of(FURNITURE + OURS) == [
        "filter/INPUT", "filter/FORWARD", "filter/CNI-ADMIN", "filter/CNI-FORWARD", "nat/POSTROUTING", "nat/CNI-40aa",
    ]  # fmt: skip


@pytest.mark.parametrize(("links", "deletes"), [("7: dhm0x0: <UP> mtu", True), ("7: dhm0x0y: <UP> mtu", False)])
def test_only_the_engines_own_bridge_is_deleted(*, links: str, deletes: bool) -> None:
    ran: list[list[str]] = []

    def run(arguments: Sequence[str]) -> str:
        ran.append(list(arguments))
        return links if ran[-1][:2] == ["ip", "-o"] else ""

    remove(Network(slot=0), run=run, chains_before=[])
    assert (["ip", "link", "delete", "dhm0x0"] in ran) is deletes
