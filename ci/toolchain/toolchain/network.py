"""Networks of engines: one address range and bridge each, and taking away what an engine leaves on the host.

The engine and its CNI plug-ins work in the host's network namespace. What they make there is known by the
engine's bridge, its address range and its network's name, all three of which only this tool chain hands out.
"""

import ipaddress
import re
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

RANGE = ipaddress.IPv4Network("10.87.0.0/16")
"""Dagger's own default range, cut into one slot an engine."""
SLOT_PREFIX = 20
BRIDGE_PREFIX = "dhm"

# Chains that CNI plug-ins share between networks; each is theirs alone when nothing but its own furniture is in it.
_SHARED_CHAINS = ("CNI-FORWARD", "CNI-ADMIN")


@dataclass(frozen=True, kw_only=True)
class Network:
    """The network of one engine."""

    slot: int

    @property
    def name(self) -> str:
        """The name given to the engine, which names its bridge after it."""
        return f"{BRIDGE_PREFIX}{self.slot}x"

    @property
    def bridge(self) -> str:
        """The bridge interface."""
        return f"{self.name}0"

    @property
    def cidr(self) -> ipaddress.IPv4Network:
        """The address range."""
        return list(RANGE.subnets(new_prefix=SLOT_PREFIX))[self.slot]


def routed_networks(route_table: str) -> list[ipaddress.IPv4Network]:
    """Parse /proc/net/route: the destinations that this machine already routes, the default route left out."""
    networks = []
    for line in route_table.splitlines()[1:]:
        fields = line.split()
        # Addresses are hexadecimal in host (little-endian) order.
        destination, mask = (int.from_bytes(bytes.fromhex(fields[at]), "little") for at in (1, 7))
        if mask:
            networks.append(ipaddress.IPv4Network((destination, mask.bit_count()), strict=False))
    return networks


def free_slot(*, taken: Iterable[int], routes: Iterable[ipaddress.IPv4Network]) -> int | None:
    """Return the first slot that neither another engine nor a route of the machine uses, or None."""
    used = set(taken)
    known = list(routes)
    for slot in range(2 ** (SLOT_PREFIX - RANGE.prefixlen)):
        cidr = Network(slot=slot).cidr
        if slot not in used and not any(cidr.overlaps(route) for route in known):
            return slot
    return None


def _mentions(words: Sequence[str], network: Network) -> bool:
    """Tell whether a rule's words name the network, its bridge, or an address of it."""
    for word in words:
        if word == network.bridge or re.search(rf'name: "{re.escape(network.name)}"', word):
            return True
        try:
            address = ipaddress.IPv4Interface(word)
        except ValueError:
            continue
        if address.network.prefixlen > 0 and address.ip in network.cidr:
            return True
    return False


def cleanup_commands(saved: str, network: Network, *, chains_before: Iterable[str]) -> list[list[str]]:
    """Plan how to take an engine's rules out of what `iptables-save` printed.

    Returns arguments for iptables, in order: rules that name the network, jumps to chains which then are empty,
    those chains. Chains named in `chains_before` as `table/chain` were there before any engine, and stay.
    """
    before = set(chains_before)
    table = ""
    rules: list[tuple[str, str, list[str]]] = []
    chains: list[tuple[str, str]] = []
    for line in saved.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith(":"):
            chains.append((table, line[1:].split()[0]))
        elif line.startswith("-A "):
            words = shlex.split(line)
            rules.append((table, words[1], words[2:]))
    ours = [rule for rule in rules if _mentions(rule[2], network)]
    targets = {(table, _target(words)) for table, _, words in ours if _target(words).startswith("CNI-")}
    # A container's own chain holds nothing of value once the jump to it is ours.
    ours += [rule for rule in rules if (rule[0], rule[1]) in targets and rule not in ours]
    kept = [rule for rule in rules if rule not in ours]

    def shared_and_empty(name: str) -> bool:
        return all(_is_furniture(words) for table, chain, words in kept if table == "filter" and chain == name)

    doomed = [chain for chain in chains if chain in targets and chain[1] not in _SHARED_CHAINS]
    if all(shared_and_empty(name) for name in _SHARED_CHAINS):
        shared = [("filter", name) for name in _SHARED_CHAINS if f"filter/{name}" not in before]
        doomed += [chain for chain in shared if chain in chains]
    jumps = [rule for rule in kept if (rule[0], _target(rule[2])) in doomed and (rule[0], rule[1]) not in doomed]
    gone = [rule for rule in [*ours, *jumps] if (rule[0], rule[1]) not in doomed]
    commands = [["-t", table, "-D", chain, *words] for table, chain, words in gone]
    commands += [["-t", table, "-F", chain] for table, chain in doomed]
    commands += [["-t", table, "-X", chain] for table, chain in doomed]
    return commands


def _target(words: Sequence[str]) -> str:
    return next((words[at + 1] for at, word in enumerate(words[:-1]) if word in {"-j", "-g"}), "")


def _is_furniture(words: Sequence[str]) -> bool:
    """Tell whether a rule is one that the plug-ins put into a shared chain for no container in particular."""
    return _target(words) in _SHARED_CHAINS


def chains_of(saved: str) -> list[str]:
    """List the chains in what `iptables-save` printed, as `table/chain`."""
    table = ""
    found = []
    for line in saved.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith(":"):
            found.append(f"{table}/{line[1:].split()[0]}")
    return found


def remove(network: Network, *, run: Callable[[Sequence[str]], str], chains_before: Iterable[str]) -> None:
    """Take the network off the host; `run` runs a program with the tools of the engine's root file system."""
    if f" {network.bridge}:" in run(["ip", "-o", "link", "show"]):
        run(["ip", "link", "delete", network.bridge])
    for arguments in cleanup_commands(run(["iptables-save"]), network, chains_before=chains_before):
        run(["iptables", *arguments])
