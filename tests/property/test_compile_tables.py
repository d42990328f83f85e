"""Tables of addresses say what the compiler says: read from the top, first row that fits, packet for packet; and so does their text."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from ipaddress import ip_network

import pytest

from cloudsync.compile import arms, universe
from cloudsync.compile.allowed import Compiler, Direction
from cloudsync.compile.tables import Row, Tables, tables
from cloudsync.model.address import AddressSet
from cloudsync.model.finding import Where
from cloudsync.model.mode import Egress, Mode
from cloudsync.model.packets import ALL_PACKETS, NO_PACKETS, PacketSet
from cloudsync.model.service import ANY_SERVICE, ServiceSet
from cloudsync.model.workload import Domain, Labels
from cloudsync.policy.services import read_service
from cloudsync.policy.values import Policy
from cloudsync.report.tables import NOTE, tables_text
from tests.property.test_compile_meaning import NOW, random_world


def _services(text: str) -> ServiceSet:
    if text == ANY_SERVICE.text():
        return ANY_SERVICE
    found = [read_service(part, Where("table")) for part in text.split(", ")]
    assert all(isinstance(one, ServiceSet) for one in found), text
    return ServiceSet.union_all(one for one in found if isinstance(one, ServiceSet))


def _read(found: Tables, rows: tuple[Row, ...]) -> tuple[PacketSet, PacketSet]:
    """Return what the rows allow and what they cut, read by a firewall that knows lists and first match alone."""
    allowed, cut = NO_PACKETS, NO_PACKETS
    for row in rows:
        peers = AddressSet.of(*(ip_network(one) for one in found.lists[row.peers]))
        fits = PacketSet.of(peers, _services(row.services)) - allowed - cut
        if row.allows:
            allowed |= fits
        else:
            cut |= fits
    return allowed, cut


@pytest.mark.parametrize("seed", range(60))
def test_rows_read_from_the_top_are_what_the_policy_allows(seed: int) -> None:
    policy, workloads = random_world(random.Random(7000 + seed))
    classes = universe.build(policy, workloads)
    compiler = Compiler(classes, arms.resolve(classes, policy, NOW))
    numbers = {group.id: number for number, group in enumerate(classes.classes)}
    for domain in (Domain("default"), Domain("other")):
        found = tables(compiler, domain)
        assert [one.class_id for one in found.classes] == [group.id for group in classes.classes if group.mode.enforced]
        for one in found.classes:
            number = numbers[one.class_id]
            group = classes.classes[number]
            wanted = compiler.allowed(number, domain, Direction.IN)
            allowed, cut = _read(found, one.inbound)
            assert allowed == wanted.exact
            if one.closed:
                assert group.mode is Mode.FULL
            else:
                assert cut == ALL_PACKETS & ((wanted.closed - wanted.exact) | wanted.never)
            assert (one.outbound is None) == (group.egress is not Egress.ENFORCE)
            if one.outbound is not None:
                assert _read(found, one.outbound)[0] == compiler.allowed(number, domain, Direction.OUT).exact
            own = AddressSet.of(*(ip_network(text) for text in found.lists[one.addresses]))
            assert own == classes.class_reached(number, domain)


def test_a_list_is_written_once_and_its_name_says_what_is_in_it() -> None:
    policy, workloads = random_world(random.Random(5))
    classes = universe.build(policy, workloads)
    compiler = Compiler(classes, arms.resolve(classes, policy, NOW))
    first = tables(compiler, Domain("default"))
    again = tables(Compiler(classes, arms.resolve(classes, policy, NOW)), Domain("default"))
    assert first == again
    assert len(set(first.lists.values())) == len(first.lists)


def _document(found: Tables, policy: Policy) -> str:
    """Return the document as the standard library lays it out."""
    named = {row.rule for one in found.classes for row in (*one.inbound, *(one.outbound or ()))}
    rules = {rule.id: {"where": str(rule.where), "sentence": rule.text} for rule in policy.rules if rule.id in named}

    def row(one: Row) -> dict[str, str]:
        return {"action": "allow" if one.allows else "deny", "peers": one.peers, "services": one.services, "rule": one.rule}

    classes = [
        {
            "class": one.class_id,
            "labels": dict(one.labels.pairs),
            "mode": one.mode.value,
            "closed": one.closed,
            "addresses": one.addresses,
            "inbound": [row(each) for each in one.inbound],
            "outbound": None if one.outbound is None else [row(each) for each in one.outbound],
        }
        for one in found.classes
    ]
    head = {"format": "cloudsync-tables", "version": 1, "note": NOTE, "domain": found.domain}
    lists = {name: list(found.lists[name]) for name in sorted(found.lists)}
    return json.dumps(head | {"rules": dict(sorted(rules.items())), "lists": lists, "classes": classes}, indent=1) + "\n"


@pytest.mark.parametrize("seed", range(30))
def test_the_document_is_laid_out_as_the_standard_library_would(seed: int) -> None:
    policy, workloads = random_world(random.Random(7100 + seed))
    classes = universe.build(policy, workloads)
    found = tables(Compiler(classes, arms.resolve(classes, policy, NOW)), Domain("default"))
    assert tables_text(found, policy) == _document(found, policy)
    said = 'a "b" \\ \n\x7f\u00e9\u2028\U0001f600'
    strange = tuple(
        replace(
            one, labels=Labels.of({said: said, **dict(one.labels.pairs)}), inbound=tuple(replace(row, rule=said) for row in one.inbound)
        )
        for one in found.classes
    )
    odd = replace(found, domain=Domain(said), lists={**found.lists, "none": ()}, classes=strange)
    rules = (*policy.rules, *(replace(one, id=said, text=said) for one in policy.rules[:1]))
    assert tables_text(odd, replace(policy, rules=rules)) == _document(odd, replace(policy, rules=rules))
    bare = replace(found, lists={}, classes=())
    assert tables_text(bare, policy) == _document(bare, policy)
