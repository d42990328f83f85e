"""What a plan would do to objects that Terraform owns, and whose a blamed rule is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from cloudsync.adapter import Effect, Entry, Phase, Point, Step
from cloudsync.inventory.terraform_kinds import Owned
from cloudsync.model.address import AddressSet
from cloudsync.model.packets import NO_PACKETS
from cloudsync.model.workload import Labels, PointId
from cloudsync.plan.terraform import NO_OWNER, Ownership, Way, name_in, ownership, touches, with_owners
from cloudsync.proof.drift import Drift, Kind, Severity
from cloudsync.testing.memory import MemoryAdapter, MemoryPlatform
from cloudsync.testing.memory_table import MemoryTable

ACCOUNT = MemoryPlatform().account
NIC = PointId("111122223333/eu/ENI-1")
GROUP = Owned("aws_group.web", "aws_security_group", "memory", ACCOUNT, ("sg-1", "web"))
RULE = replace(GROUP, address="aws_rule.ssh", objects=("sg-2",), rule="sgr-9")
CARD = replace(GROUP, address="aws_nic.one", objects=("sg-3",), at="eni-1")


def entry(group: str = "sg-2", native: str = "tcp/22", *, ours: bool = False, rule: str = "") -> Entry:
    return Entry(group, f"name of {group}", native, "inbound", NO_PACKETS, ours, (NIC,), id=rule)


class Told(MemoryAdapter):
    """Tables are `before` and `after`, and everything in them is said."""

    def __init__(self, before: Iterable[Entry] = (), after: Iterable[Entry] = ()) -> None:
        super().__init__(MemoryPlatform())
        self.said = {"before": tuple(before), "after": tuple(after)}
        self.carried: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}

    def entries(self, table: MemoryTable, points: Iterable[PointId] | None = None) -> tuple[Entry, ...]:
        del points
        return self.said[table.owner]

    def points(self, table: MemoryTable) -> tuple[Point, ...]:
        if table.owner not in self.carried:
            return ()
        ours, foreign = self.carried[table.owner]
        return (Point(NIC, "s", "n", "web-1", AddressSet(), ours, foreign),)


BEFORE, AFTER = MemoryTable("before", {}, {}), MemoryTable("after", {}, {})
IDLE = Step("k", "Act", "s", "sg-8", "do nothing", Effect.GROWS, "{}", mark="m")


def touched(adapter: Told, *owned: Owned, steps: tuple[Step, ...] = (IDLE,)) -> list[tuple[str, str]]:
    way = Way(BEFORE, AFTER, (Phase("p", steps),) if steps else ())
    return [(one.address, one.what) for one in touches(adapter, way, ownership(owned, adapter))]


# --- of which account ------------------------------------------------------------------------------------------------


def test_what_counts_is_of_the_platform_and_account_or_of_no_account() -> None:
    def names(*owned: Owned) -> set[str]:
        return set(Ownership.of(owned, "memory", "Proj-A").whole)

    own = replace(GROUP, account="proj-a", objects=("a",))
    assert names(own, replace(own, account="PROJ-A", objects=("b",)), replace(own, account="", objects=("c",))) == {"a", "b", "c"}
    assert names(replace(own, account="proj-b"), replace(own, platform="aws")) == set()


def test_whole_objects_are_known_by_every_name_and_parts_apart() -> None:
    other = replace(GROUP, address="aws_group.again")
    found = Ownership.of((GROUP, RULE, CARD, other), "memory", ACCOUNT)
    assert found.whole == {"sg-1": (GROUP, other), "web": (GROUP, other)}
    assert found.parts == {"sg-2": (RULE,), "sg-3": (CARD,)}
    assert found.of_object("SG-1") == (GROUP, other)
    assert found.of_object("sg-2") == ()
    assert found
    assert Ownership.of((RULE,), "memory", ACCOUNT)
    assert Ownership.of((GROUP,), "memory", ACCOUNT)
    assert not NO_OWNER
    assert ownership((), Told()) == NO_OWNER
    assert ownership((GROUP,), Told()) == Ownership.of((GROUP,), "memory", ACCOUNT)


# --- what is touched -------------------------------------------------------------------------------------------------


def test_writing_an_object_of_terraforms_is_a_touch() -> None:
    write = replace(IDLE, object="SG-1", title="revoke 2 rules")
    assert touched(Told(), GROUP, RULE, steps=(IDLE, write, write)) == [("aws_group.web", "revoke 2 rules")]
    assert touched(Told(), GROUP, steps=()) == []
    assert touched(Told(), steps=(write,)) == []


def test_touches_come_by_address_then_by_what_would_be_done() -> None:
    writes = tuple(replace(IDLE, object=name, title=title) for name, title in (("sg-1", "b"), ("sg-7", "c"), ("sg-1", "a")))
    assert touched(Told(), GROUP, replace(GROUP, address="aws_a", objects=("sg-7",)), steps=writes) == [
        ("aws_a", "c"),
        ("aws_group.web", "a"),
        ("aws_group.web", "b"),
    ]


def test_taking_an_object_off_a_point_touches_its_owner_and_who_attached_it() -> None:
    adapter = Told()
    adapter.carried = {"before": (("sg-5", "sg-1"), ("SG-3",)), "after": ((), ("sg-5",))}
    assert touched(adapter, GROUP, steps=()) == [], "a plan without steps does nothing"
    other_card = replace(CARD, address="aws_nic.two", at="eni-2")
    part = replace(RULE, objects=("sg-3",))
    keeps = replace(GROUP, address="aws_group.stays", objects=("sg-5",))
    assert touched(adapter, GROUP, CARD, other_card, part, keeps) == [
        ("aws_group.web", f"take sg-1 off web-1 ({NIC})"),
        ("aws_nic.one", f"take SG-3 off web-1 ({NIC})"),
    ]
    adapter.carried.pop("after")
    assert ("aws_group.stays", f"take sg-5 off web-1 ({NIC})") in touched(adapter, keeps)


@pytest.mark.parametrize(("at", "meets"), [("eni-1", True), ("/eu/eni-1", True), ("ni-1", False), ("/us/eni-1", False), ("eu/eni-1", True)])
def test_an_interface_is_meant_by_the_whole_end_of_its_name(at: str, *, meets: bool) -> None:
    adapter = Told()
    adapter.carried = {"before": ((), ("sg-3",)), "after": ((), ())}
    assert bool(touched(adapter, replace(CARD, at=at))) is meets


def test_a_rule_of_others_that_would_go_touches_the_rules_that_terraform_has_there() -> None:
    there = (entry("sg-4"), entry("SG-2"), entry("sg-2", "tcp/80", ours=True), entry("sg-2", "tcp/25"))
    adapter = Told(there, (entry("sg-2", "tcp/25"),))
    ours = ("aws_rule.ssh", "take 'tcp/80' out of name of sg-2")
    lost = ("aws_rule.ssh", "take 'tcp/22' out of name of SG-2")
    assert touched(adapter, RULE) == [lost, ours]
    wanted = replace(there[2], origins=(object(),))  # type: ignore[arg-type]
    assert touched(Told((wanted, there[1])), RULE) == [lost], "a rule of ours that the policy stands behind is no rule of others"
    assert touched(Told((entry("sg-3"),)), CARD) == [], "an attachment is no rule"
    assert touched(adapter, GROUP) == []


def test_where_names_are_known_only_the_rule_of_that_name_is_meant() -> None:
    azure = replace(RULE, platform="azure", rule="Allow-Web")
    other = replace(azure, address="azure_rule.other", rule="deny")
    native = "310 allow-web: tcp/443 from any"

    class Azure(Told):
        capabilities = replace(MemoryAdapter.capabilities, platform="azure")

    assert [one for one, _ in touched(Azure((entry("sg-2", native),)), azure, other)] == ["aws_rule.ssh"]
    assert touched(Azure((entry("sg-2", "320 else: tcp"),)), azure, other) == []
    assert name_in(native) == "allow-web"
    assert name_in("Plain") == "plain"


# --- whose a rule is -------------------------------------------------------------------------------------------------


def test_a_rule_belongs_to_whoever_has_it_or_else_to_whoever_has_the_whole_object() -> None:
    whole = replace(GROUP, address="aws_group.two", objects=("sg-2",))
    owned = Ownership.of((RULE, whole, replace(CARD, objects=("sg-2",))), "memory", ACCOUNT)
    assert owned.of_entry(entry("SG-2", rule="x/SGR-9")) == (RULE,)
    assert owned.of_entry(entry("sg-2", "100 SGR-9: tcp")) == (RULE,)
    assert owned.of_entry(entry("sg-2", rule="sgr-1")) == (whole,)
    assert owned.of_entry(entry("sg-6", rule="sgr-9")) == ()


def drift(*entries: Entry) -> Drift:
    return Drift("mem", Kind.EXCESS, Severity.LOW, "inbound", NO_PACKETS, (), (), Labels(), "w", entries)


def test_drift_names_up_to_three_owners_of_a_rule() -> None:
    many = tuple(replace(GROUP, address=f"a{number}") for number in range(4))
    (found,) = with_owners([drift(entry("sg-1"), entry("sg-9"))], Ownership.of(many, "memory", ACCOUNT))
    assert [one.owner for one in found.entries] == ["owned by Terraform: a0, a1, a2", ""]
    plain = drift(entry("sg-1"))
    assert with_owners(iter([plain]), NO_OWNER) == (plain,)
