"""One function per EC2 call: a step with its payload rendered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain

from cloudsync.adapter import Effect, Origin, Step
from cloudsync.model.address import Family
from cloudsync.model.quick import dataclass
from cloudsync_aws import payload as wire
from cloudsync_aws.table import AwsTable, Eni, Group, PrefixList, RuleKey


def reference(key: str) -> str:
    """Return how a step names an object: its native id, or the key under which an earlier step creates it."""
    return wire.key_of(key) or key


@dataclass(frozen=True, slots=True)
class Attacher:
    """Renders attachments. Interfaces carry no mark of ours; their steps name the owner on whose behalf they are written."""

    owner: str

    def step(self, eni: Eni, old: tuple[str, ...], new: tuple[str, ...], phase: str, *, temporary: bool = False) -> Step:
        """Return the replacement of an interface's groups. `old` is expected to be there: EC2 compares nothing itself."""
        grows, shrinks = set(old) <= set(new), set(new) <= set(old)
        effect = Effect.GROWS if grows else Effect.SHRINKS if shrinks else Effect.SWAPS
        added, removed = sorted(set(new) - set(old)), sorted(set(old) - set(new))
        parts = (("attach", added), ("detach", removed))
        what = "; ".join(f"{word} {', '.join(map(reference, groups))}" for word, groups in parts if groups)
        return Step(
            f"{phase}/{eni.id}",
            "ModifyNetworkInterfaceAttribute",
            eni.scope,
            eni.id,
            f"{eni.id} ({eni.instance or 'no instance'}): {what}",
            effect,
            wire.render("modify_network_interface_attribute", {"Groups": list(new), "NetworkInterfaceId": eni.id}, old),
            points=(eni.point,),
            temporary=temporary,
            mark=self.owner,
        )


@dataclass(frozen=True, slots=True)
class Caller:
    """Renders calls on groups and lists; knows which account each group belongs to."""

    accounts: Mapping[str, str]

    @classmethod
    def of(cls, *tables: AwsTable) -> Caller:
        """Return a caller for the groups of these tables."""
        groups = chain.from_iterable(table.groups.values() for table in tables)
        return cls({group.id: group.scope.partition("/")[0] for group in groups})

    def _permissions(self, group: Group, rules: Mapping[RuleKey, str], *, described: bool) -> list[dict[str, object]]:
        accounts = wire.Accounts(group.scope.partition("/")[0], self.accounts)
        return wire.permissions(rules, accounts, described=described)

    def authorize(self, group: Group, rules: Mapping[RuleKey, str], effect: Effect, *, temporary: bool = False) -> list[Step]:
        """Return at most one call per direction."""
        found: list[Step] = []
        for egress in (False, True):
            part = {key: text for key, text in rules.items() if key.egress is egress}
            if not part:
                continue
            assert group.mark is not None
            args = {
                "GroupId": group.id,
                "IpPermissions": self._permissions(group, part, described=True),
                "TagSpecifications": wire.rule_tags(group.mark),
            }
            origins = dict.fromkeys(origin for key in sorted(part) for origin in group.origins.get(key, ()))
            call = _RulesCall("authorize", group, egress, args, len(part))
            found.append(call.step(effect, tuple(origins), temporary=temporary))
        return found

    def revoke(self, group: Group, keys: Iterable[RuleKey], effect: Effect, *, temporary: bool = False) -> list[Step]:
        """Return at most one call per direction, naming each entry exactly as it was read."""
        todo = list(keys)
        found: list[Step] = []
        for egress in (False, True):
            part = {key: "" for key in todo if key.egress is egress}
            if part:
                args = {"GroupId": group.id, "IpPermissions": self._permissions(group, part, described=False)}
                found.append(_RulesCall("revoke", group, egress, args, len(part)).step(effect, temporary=temporary))
        return found

    def describe(self, group: Group, texts: Mapping[RuleKey, str]) -> list[Step]:
        """Return at most one call per direction that changes descriptions alone."""
        found: list[Step] = []
        for egress in (False, True):
            part = {key: text for key, text in texts.items() if key.egress is egress}
            if not part:
                continue
            way, title = ("egress", "Egress") if egress else ("ingress", "Ingress")
            args = {"GroupId": group.id, "IpPermissions": self._permissions(group, part, described=True)}
            found.append(
                Step(
                    f"describe-{way}/{reference(group.id)}",
                    f"UpdateSecurityGroupRuleDescriptions{title}",
                    group.scope,
                    reference(group.id),
                    f"describe {len(part)} {way} entries of {group.name} anew",
                    Effect.NONE,
                    wire.render(f"update_security_group_rule_descriptions_{way}", args),
                    mark=_mark(group),
                )
            )
        return found

    def create_group(self, group: Group, *, temporary: bool = False) -> Step:
        """Return the creation of a group, its mark in the very call."""
        args = {
            "Description": wire.GROUP_DESCRIPTION,
            "GroupName": group.name,
            "TagSpecifications": wire.tag_specification("security-group", group.tags),
            "VpcId": group.vpc,
        }
        key = reference(group.id)
        title = f"create {group.name} in {group.vpc}"
        payload = wire.render("create_security_group", args)
        return Step(f"create/{key}", "CreateSecurityGroup", group.scope, key, title, Effect.NONE, payload, temporary=temporary)

    def delete_group(self, group: Group, *, temporary: bool = False) -> Step:
        """Return the deletion of a group that nothing carries or refers to any more."""
        key = reference(group.id)
        payload = wire.render("delete_security_group", {"GroupId": group.id})
        title = f"delete {group.name}"
        return Step(
            f"delete/{key}",
            "DeleteSecurityGroup",
            group.scope,
            key,
            title,
            Effect.NONE,
            payload,
            removes=len(group.rules),
            temporary=temporary,
            mark=_mark(group),
        )

    def create_list(self, one: PrefixList) -> Step:
        """Return the creation of a prefix list with its first entries."""
        assert one.mark is not None
        key = reference(one.id)
        args = {
            "AddressFamily": "IPv4" if one.family is Family.V4 else "IPv6",
            "Entries": [{"Cidr": cidr} for cidr in sorted(one.entries)[: wire.ENTRIES_PER_CALL]],
            "MaxEntries": one.weight,
            "PrefixListName": one.name,
            "TagSpecifications": wire.tag_specification("prefix-list", one.mark.tags),
        }
        payload = wire.render("create_managed_prefix_list", args)
        title = f"create prefix list {one.name} for {one.weight} entries"
        return Step(f"create/{key}", "CreateManagedPrefixList", one.scope, key, title, Effect.NONE, payload)

    def resize_list(self, one: PrefixList, weight: int) -> Step:
        """Return a change of MaxEntries, which EC2 takes in a call of its own."""
        payload = wire.render("modify_managed_prefix_list", {"MaxEntries": weight, "PrefixListId": one.id})
        title = f"resize prefix list {one.name} from {one.weight} to {weight}"
        key = reference(one.id)
        verb = "widen" if weight > one.weight else "narrow"
        return Step(f"{verb}/{key}", "ModifyManagedPrefixList", one.scope, key, title, Effect.NONE, payload, mark=_mark(one))

    def change_list(self, one: PrefixList, cidrs: list[str], version: int, *, grow: bool) -> Step:
        """Return one change of entries on top of a version."""
        args: dict[str, object] = {"CurrentVersion": version, "PrefixListId": one.id}
        args["AddEntries" if grow else "RemoveEntries"] = [{"Cidr": cidr} for cidr in cidrs]
        verb, preposition = ("add", "to") if grow else ("remove", "from")
        key = reference(one.id)
        return Step(
            f"{verb}-entries/{key}/{version}",
            "ModifyManagedPrefixList",
            one.scope,
            key,
            f"{verb} {len(cidrs)} entries {preposition} prefix list {one.name}",
            Effect.GROWS if grow else Effect.SHRINKS,
            wire.render("modify_managed_prefix_list", args),
            adds=len(cidrs) if grow else 0,
            removes=0 if grow else len(cidrs),
            mark=_mark(one),
        )

    def delete_list(self, one: PrefixList) -> Step:
        """Return the deletion of a prefix list that no group refers to any more."""
        key = reference(one.id)
        payload = wire.render("delete_managed_prefix_list", {"PrefixListId": one.id})
        title = f"delete prefix list {one.name}"
        return Step(f"delete/{key}", "DeleteManagedPrefixList", one.scope, key, title, Effect.NONE, payload, mark=_mark(one))


def _mark(one: Group | PrefixList) -> str:
    return one.mark.text if one.mark is not None else ""


@dataclass(frozen=True, slots=True)
class _RulesCall:
    """Authorize or Revoke, for one group and direction."""

    verb: str
    group: Group
    egress: bool
    args: Mapping[str, object]
    count: int

    def step(self, effect: Effect, origins: tuple[Origin, ...] = (), *, temporary: bool) -> Step:
        """Return the call as a step."""
        way, title = ("egress", "Egress") if self.egress else ("ingress", "Ingress")
        adds = self.verb == "authorize"
        key = reference(self.group.id)
        entries = f"{self.count} {way} {'entry' if self.count == 1 else 'entries'}"
        return Step(
            f"{self.verb}-{way}/{key}",
            f"{self.verb.capitalize()}SecurityGroup{title}",
            self.group.scope,
            key,
            f"{'add' if adds else 'remove'} {entries} {'to' if adds else 'from'} {self.group.name}",
            effect,
            wire.render(f"{self.verb}_security_group_{way}", self.args),
            adds=self.count if adds else 0,
            removes=0 if adds else self.count,
            origins=origins,
            temporary=temporary,
            mark=_mark(self.group),
        )
