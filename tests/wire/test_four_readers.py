"""Who judges the judge: the oracle's readers of raw GCP, Azure and F5 against each lab's own data plane, on random estates.

Two programs written apart from each other: the lab decides from its inner state, the oracle from what the API says over the wire.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.oracle import azure_cloud, azure_reach, f5_cloud, f5_reach, gcp_cloud, gcp_reach, probes
from tests.oracle.four_ground import Estate, Reach
from tests.oracle.four_grounds import AzureGround, F5Ground, GcpGround
from tests.oracle.reading import Address, Service
from tests.oracle.seeds import seeds

SERVICES = (
    *(Service(6, port) for port in (0, 22, 23, 80, 443, 1443, 5432, 8443, 65535)),
    *(Service(17, port) for port in (22, 53, 443)),
    *(Service(1, 8), Service(1, 0), Service(58, 128), Service(47), Service(50), Service(132, 80), Service(89)),
)
PORTED = (6, 17, 132)
FEW = range(4)


@pytest.fixture(scope="module")
def gcp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GcpGround]:
    ground = GcpGround(tmp_path_factory.mktemp("gcp"))
    yield ground
    ground.stop()


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureGround]:
    ground = AzureGround(tmp_path_factory.mktemp("azure"))
    yield ground
    ground.stop()


@pytest.fixture(scope="module")
def f5(tmp_path_factory: pytest.TempPathFactory) -> Iterator[F5Ground]:
    ground = F5Ground(tmp_path_factory.mktemp("f5"))
    yield ground
    ground.stop()


def peers(estate: Estate, own: set[Address], seed: int) -> list[Address]:
    """Return addresses at which a rule could change its mind."""
    found = {one for text in estate.blocks() for one in probes.edges(text)} | own
    ordered = sorted(found, key=lambda one: (one.version, int(one)))
    return random.Random(seed).sample(ordered, min(len(ordered), 16))


def bits(answers: list[bool], peer: Address) -> int:
    return sum(1 << at for at, (said, one) in enumerate(zip(answers, SERVICES, strict=True)) if said and one.over(peer))


def compared(
    reach: Reach, card: str, owns: list[Address], ask: Callable[[Address, Address, bool], list[bool]], around: list[Address]
) -> int:
    """Compare one interface, both ways; return the packets looked at."""
    count = 0
    for peer in around:
        mine = [one for one in owns if one.version == peer.version]
        if not mine or peer in owns:
            continue
        for inbound in (True, False):
            row = reach.row(card, peer, inbound=inbound)
            said = [bits(ask(own, peer, inbound), peer) for own in mine]
            some, every = 0, -1
            for one in said:
                some, every = some | one, every & one
            assert (row.some, row.every) == (some, every), f"{card} {'from' if inbound else 'to'} {peer}"
            count += len(SERVICES) * len(mine)
    return count


def ends(own: Address, peer: Address, *, inbound: bool) -> dict[str, Any]:
    return {"src": str(peer), "dst": str(own)} if inbound else {"src": str(own), "dst": str(peer)}


def test_gcp_is_read_as_its_data_plane_decides(gcp: GcpGround, sim_seed: int | None) -> None:
    count = 0
    for seed in seeds(sim_seed, FEW):
        gcp.build(seed, "exclusive")
        estate = gcp.read()
        assert isinstance(estate, gcp_cloud.Estate)
        reach = gcp_reach.Reach(estate, SERVICES)
        around = peers(estate, {one for nic in reach.nics.values() for one in nic.own + nic.public}, seed)
        for ref, nic in reach.nics.items():

            def ask(own: Address, peer: Address, inbound: bool, network: str = nic.network) -> list[bool]:
                side = "ingress" if inbound else "egress"
                packets = [
                    ends(own, peer, inbound=inbound)
                    | {"protocol": str(one.protocol), "port": one.port if one.protocol in PORTED else None, "network": network}
                    for one in SERVICES
                ]
                return [bool(one[side]["allowed"]) for one in gcp.site.ask("verdict", packets)]

            count += compared(reach, ref, list(nic.own), ask, around)
    assert count > 2_000


AZURE_WORDS = {6: "tcp", 17: "udp", 1: "icmp", 58: "icmpv6", 50: "esp", 51: "ah"}


def test_azure_is_read_as_its_data_plane_decides(azure: AzureGround, sim_seed: int | None) -> None:
    count = 0
    for seed in seeds(sim_seed, FEW):
        azure.build(seed, "exclusive")
        estate = azure.read()
        assert isinstance(estate, azure_cloud.Estate)
        reach = azure_reach.Reach(estate, SERVICES)
        strangers = [one for one in peers(estate, set(), seed) if not any(one in nic.own for nic in reach.nics.values())]

        def ask(own: Address, peer: Address, inbound: bool) -> list[bool]:
            packets = [
                ends(own, peer, inbound=inbound) | {"protocol": AZURE_WORDS.get(one.protocol, str(one.protocol)), "port": one.port}
                for one in SERVICES
            ]
            return [bool(azure.site.ask("verdict", one)["allowed"]) for one in packets]

        for ref, nic in reach.nics.items():
            count += compared(reach, ref, list(nic.own), ask, strangers)
    assert count > 2_000


def test_an_f5_is_read_as_its_data_plane_decides(f5: F5Ground, sim_seed: int | None) -> None:
    count = 0
    for seed in seeds(sim_seed, range(6)):
        f5.build(seed, "exclusive")
        estate = f5.read()
        assert isinstance(estate, f5_cloud.Estate)
        reach = f5_reach.Reach(estate, SERVICES)
        for ref, virtual in reach.virtuals.items():
            where, _ = f5_cloud.listens(virtual)
            for peer in peers(estate, set(), seed):
                if peer.version != where.address.version:
                    continue
                said = f5.site.ask("verdict", [f5_packet(peer, where, one) for one in SERVICES])
                there = bits([each["listener"] == ref.removeprefix("f5") for each in said], peer)
                open_ = bits([each["verdict"] == "allowed" for each in said], peer) & there
                row = reach.row(ref, peer, inbound=True)
                assert (row.there, row.some) == (there, open_), f"seed {seed} {ref} {virtual['destination']} from {peer}"
                count += len(SERVICES)
    assert count > 2_000


def f5_packet(peer: Address, where: f5_cloud.Place, one: Service) -> dict[str, Any]:
    domain = f"%{where.domain}" if where.domain else ""
    found: dict[str, Any] = {"src": f"{peer}{domain}", "dst": f"{where.address}{domain}", "protocol": str(one.protocol)}
    if one.protocol in PORTED:
        found["port"] = one.port
    elif one.protocol in (1, 58):
        found |= {"icmp_type": one.port, "icmp_code": one.code}
    return found
