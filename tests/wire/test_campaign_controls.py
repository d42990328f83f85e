"""What people, clouds and networks do to a run; negative controls: a packet too many, one too few, a moment of a cut must be seen."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cloudsync.lab import server
from tests.oracle import campaign, cloud, estates, wiretap
from tests.oracle.campaign import Lens, Rig, Watch, World
from tests.oracle.draw import GROUPS, SERVICES, VOCABULARY, port
from tests.oracle.language import Book, Chapter, End, Held, Labelled, Listed, Place, Sentence, What

PG, SSH = What("tcp/5432", (port(6, 5432),)), What("ssh", SERVICES["ssh"])


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with server.running(estate="empty", seed=1) as lab, wiretap.tapping(lab.endpoint) as tap:
        yield Rig(lab, tap, tmp_path_factory.mktemp("repository"), probe_limit=60)
        cloud.close()


def of(**labels: str) -> End:
    return End(Labelled(tuple((key, (value,)) for key, value in sorted(labels.items()))))


def policy(*rules: Sentence) -> Book:
    return Book(VOCABULARY, GROUPS, {"corp": ("203.0.113.0/24",)}, SERVICES, Held(None, "full"), (), (Chapter("all", (), rules),))


WEB_TO_DB = Sentence("allow", (of(role="web"),), (of(role="db"),), (PG,))
CORP_TO_WEB = Sentence("allow", (End(Listed("corp")),), (of(role="web"),), (SSH,))
CORP_TO_DB = Sentence("allow", (End(Listed("corp")),), (of(role="db"),), (SSH,))
BOOK = policy(WEB_TO_DB, CORP_TO_WEB)


def settled(rig: Rig, book: Book = BOOK, mode: str = "exclusive") -> tuple[Lens, World]:
    """Build two web servers and a database, converge; return the lens and the world before us."""
    rig.fresh(5)
    builder = estates.Builder(rig.access(), random.Random(5))
    builder.public_share = 0.0  # a public address is a rule of its own, because references match private ones only
    net = builder.net(0, six=False)
    builder.old_group(net, "old")
    for number, role in enumerate(("web", "web", "db")):
        builder.machine(net, {"role": role, "env": "prod", "app": "shop"}, f"m-{number}")
    rig.write(book, mode)
    look = campaign.lens(rig, book, 5)
    origin = look.world(rig.estates())
    ran = rig.converge()
    assert ran.code == 0, str(ran)
    rig.tap.reset()
    return look, origin


def our_group(rig: Rig, role: str) -> str:
    """Return the group of ours that machines of a role carry."""
    estate = rig.estates()[0]
    instance = next(ref for ref, one in estate.instances.items() if cloud.tags(one).get("Role", "").lower() == role)
    card = next(one for one in estate.cards.values() if one.get("Attachment", {}).get("InstanceId") == instance)
    return str(card["Groups"][0]["GroupId"])


def wrong(rig: Rig, look: Lens, origin: World) -> list[str]:
    return campaign.differences(look, look.world(rig.estates()), origin, "exclusive")


TELNET = [{"IpProtocol": "tcp", "FromPort": 23, "ToPort": 23, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]


def test_a_packet_too_many_is_seen_told_and_taken_back(rig: Rig) -> None:
    look, origin = settled(rig)
    look.services.append(type(look.services[0])(6, 23))
    origin = {**origin}
    assert wrong(rig, look, origin) == []
    group = our_group(rig, "db")
    rig.access().client().authorize_security_group_ingress(GroupId=group, IpPermissions=TELNET)
    assert any("open, must be closed: 6/23" in line for line in wrong(rig, look, origin))
    told = rig.run("drift")
    assert told.code == 2
    assert "tcp/23" in told.out
    assert not rig.tap.mutating(), "drift never writes"
    assert rig.converge().code == 0
    assert wrong(rig, look, origin) == []
    assert [call.action for call in rig.tap.mutating()] == ["RevokeSecurityGroupIngress"]


@pytest.mark.slow
def test_a_packet_too_few_is_seen_told_and_given_back(rig: Rig) -> None:
    look, origin = settled(rig)
    group = our_group(rig, "db")
    client: Any = rig.access().client()
    held = client.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"]
    client.revoke_security_group_ingress(GroupId=group, IpPermissions=held)
    assert any("blocked, must be open" in line for line in wrong(rig, look, origin))
    assert rig.run("drift").code == 2
    assert rig.converge().code == 0
    assert wrong(rig, look, origin) == []
    assert [call.action for call in rig.tap.mutating()] == ["AuthorizeSecurityGroupIngress"]


def test_a_moments_cut_is_seen_by_the_watch(rig: Rig) -> None:
    look, _ = settled(rig)
    group = our_group(rig, "db")
    start = look.world(rig.estates())
    state = rig.lab.state
    through_tap: Any = cloud.Access(rig.tap.endpoint, state.account, state.access_key_id, state.secret_access_key).client()
    held = through_tap.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"]
    watch = Watch(rig, look)
    rig.tap.seen = watch
    through_tap.revoke_security_group_ingress(GroupId=group, IpPermissions=held)
    through_tap.authorize_security_group_ingress(GroupId=group, IpPermissions=held)
    moments = campaign.transients(look, start, look.world(rig.estates()), watch.worlds)
    assert moments
    assert all("after write 1 RevokeSecurityGroupIngress" in line and "cut 6/5432" in line for line in moments)
    watch.worlds.clear()
    through_tap.authorize_security_group_ingress(GroupId=group, IpPermissions=TELNET)
    through_tap.revoke_security_group_ingress(GroupId=group, IpPermissions=TELNET)
    look.services.append(type(look.services[0])(6, 23))
    assert campaign.transients(look, look.world(rig.estates()), look.world(rig.estates()), []) == []


def test_one_more_rule_is_one_call_with_one_entry(rig: Rig) -> None:
    settled(rig)
    rig.write(policy(WEB_TO_DB, CORP_TO_WEB, CORP_TO_DB), "exclusive")
    assert rig.converge().code == 0
    (call,) = rig.tap.mutating()
    assert call.action == "AuthorizeSecurityGroupIngress"
    assert len([key for key in call.form if re.fullmatch(r"IpPermissions\.\d+\.IpProtocol", key)]) == 1
    assert len([key for key in call.form if key.endswith("CidrIp")]) == 1


@pytest.mark.slow
def test_one_rule_less_is_one_revoke(rig: Rig) -> None:
    settled(rig, policy(WEB_TO_DB, CORP_TO_WEB, CORP_TO_DB))
    rig.write(BOOK, "exclusive")
    assert rig.converge().code == 0
    assert [call.action for call in rig.tap.mutating()] == ["RevokeSecurityGroupIngress"]


def test_a_relabelled_machine_changes_groups_and_no_rule_is_written(rig: Rig) -> None:
    look, _ = settled(rig, policy(WEB_TO_DB, CORP_TO_WEB, CORP_TO_DB))
    machine = next(one for one in look.machines if one.labels["role"] == "web" and len(one.cards) == 1)
    rig.access().client().create_tags(Resources=[machine.ref], Tags=[{"Key": "Role", "Value": "db"}])
    told = rig.run("plan")
    assert told.code == 2
    assert "role" in told.out
    assert rig.converge().code == 0
    assert [call.action for call in rig.tap.mutating()] == ["ModifyNetworkInterfaceAttribute"]


# --- doubt means: leave everything alone ------------------------------------------------------------------------------

READS = ("DescribeSecurityGroups", "DescribeNetworkInterfaces", "DescribeInstances", "DescribeVpcs", "DescribeManagedPrefixLists")


@pytest.mark.slow
@pytest.mark.parametrize("action", READS)
@pytest.mark.parametrize("kind", ["denied", "expired", "garbage_after"])
def test_a_read_that_fails_removes_nothing(rig: Rig, action: str, kind: str) -> None:
    settled(rig)
    rig.write(policy(CORP_TO_DB), "exclusive")
    before = campaign.foreign(rig.estates()), our_rules(rig)
    rig.tap.spoil_reads = lambda asked, _number: kind if asked == action else None
    ran = rig.run("apply", "--yes")
    assert ran.code in (4, 5), str(ran)
    removing = [call.action for call in rig.tap.mutating() if call.action.startswith(("Revoke", "Delete", "Modify"))]
    assert removing == [], str(ran)
    after = campaign.foreign(rig.estates()), our_rules(rig)
    assert before[0] == after[0]
    assert before[1] <= after[1]


def our_rules(rig: Rig) -> frozenset[str]:
    found: set[str] = set()
    for estate in rig.estates():
        for group in estate.groups.values():
            if "cloudsync:owner" in {one["Key"] for one in group.get("Tags", ())}:
                for name in ("IpPermissions", "IpPermissionsEgress"):
                    for permission in group[name]:
                        for field in ("IpRanges", "Ipv6Ranges", "UserIdGroupPairs", "PrefixListIds"):
                            peers = [sorted(one.items()) for one in permission.get(field, ())]
                            ports = permission.get("FromPort"), permission.get("ToPort")
                            found.update(f"{group['GroupId']} {name} {permission['IpProtocol']} {ports} {peer}" for peer in peers)
    return frozenset(found)


def everything_gone(rig: Rig) -> None:
    client: Any = rig.access().client()
    client.terminate_instances(InstanceIds=list(rig.estates()[0].instances))


def labels_gone(rig: Rig) -> None:
    client: Any = rig.access().client()
    client.delete_tags(Resources=list(rig.estates()[0].instances), Tags=[{"Key": key} for key in ("Role", "Environment", "App")])


def test_an_inventory_that_is_empty_all_at_once_is_refused(rig: Rig) -> None:
    settled(rig)
    tighten(rig)
    everything_gone(rig)
    held = our_rules(rig)
    ran = rig.run("apply", "--yes")
    assert ran.code == 4, str(ran)
    assert "G-SHRINK" in ran.out
    assert not rig.tap.mutating()
    assert our_rules(rig) == held


@pytest.mark.slow
def test_labels_that_vanish_all_at_once_are_refused(rig: Rig) -> None:
    settled(rig)
    tighten(rig)
    labels_gone(rig)
    ran = rig.run("apply", "--yes")
    assert ran.code == 4, str(ran)
    assert "G-AFFECTED" in ran.out
    assert not rig.tap.mutating()


def tighten(rig: Rig) -> None:
    """Put the guards back to their defaults."""
    path = rig.root / "cloudsync.yaml"
    kept = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("guards:")]
    path.write_text("\n".join(kept) + "\n", encoding="utf-8")


@pytest.mark.slow
def test_an_empty_selector_never_means_any(rig: Rig) -> None:
    empty = Sentence("allow", (of(role="lb"),), (of(role="db"),), (SSH,))
    look, origin = settled(rig, policy(WEB_TO_DB, empty))
    assert not [one for one in look.machines if one.labels.get("role") == "lb"]
    assert wrong(rig, look, origin) == []


# --- somebody else is at work -----------------------------------------------------------------------------------------


def attach_by_hand(rig: Rig) -> None:
    """Somebody attaches a group of theirs to every interface."""
    client: Any = rig.access().client()
    estate = rig.estates()[0]
    theirs = next(name for name, group in estate.groups.items() if group["GroupName"] == "old")
    for ref, card in estate.cards.items():
        groups = [one["GroupId"] for one in card["Groups"]]
        if theirs not in groups:
            client.modify_network_interface_attribute(NetworkInterfaceId=ref, Groups=[*groups, theirs])


def edit_by_hand(rig: Rig) -> None:
    """Somebody opens telnet in every group of ours."""
    client: Any = rig.access().client()
    for name, group in rig.estates()[0].groups.items():
        if "cloudsync:owner" in {one["Key"] for one in group.get("Tags", ())}:
            client.authorize_security_group_ingress(GroupId=name, IpPermissions=TELNET)


@pytest.mark.slow
@pytest.mark.parametrize("meddle", [attach_by_hand, edit_by_hand])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_edits_between_our_writes_are_found_and_settled(rig: Rig, meddle: Callable[[Rig], None], number: int) -> None:
    look, origin = settled(rig, policy(WEB_TO_DB))
    rig.write(policy(CORP_TO_DB, CORP_TO_WEB, Sentence("allow", (of(env="prod"),), (of(role="web"),), (PG,))), "exclusive")
    others = campaign.foreign(rig.estates())
    done: list[int] = []

    def once(_action: str, at: int) -> None:
        if at == number and not done:
            done.append(at)
            meddle(rig)

    rig.tap.before_write = once
    rig.converge()
    assert done
    rig.tap.before_write = None
    assert rig.converge().code == 0
    book = policy(CORP_TO_DB, CORP_TO_WEB, Sentence("allow", (of(env="prod"),), (of(role="web"),), (PG,)))
    look.book = book
    assert wrong(rig, look, origin) == []
    assert campaign.foreign(rig.estates()) == others


@pytest.mark.slow
def test_two_owners_in_one_network_leave_each_other_alone(rig: Rig) -> None:
    settled(rig, mode="additive")
    first = our_rules(rig)
    rig.owner = "other"
    try:
        rig.write(policy(CORP_TO_DB), "additive")
        ran = rig.converge()
        assert ran.code in (0, 4), str(ran)
        assert first <= our_rules(rig)
    finally:
        rig.owner = "oracle"


# --- the exact complement of the inventory ----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("accept", [(), ("internet-as-anywhere",)])
def test_the_internet_is_everybody_but_us_and_nobody_unroutable(rig: Rig, accept: tuple[str, ...]) -> None:
    open_to_all = Sentence("allow", (End(Place("internet")),), (of(role="web"),), (SSH,), accept=accept)
    never = Sentence("never allow", (End(Listed("corp")),), (of(role="web"),), (SSH,))
    look, origin = settled(rig, policy(open_to_all, never, WEB_TO_DB))
    assert wrong(rig, look, origin) == []
    again = rig.run("apply", "--yes")
    assert again.code == 0
    assert not rig.tap.mutating()
