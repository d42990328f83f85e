"""F5 AFM read anew: the global context, the route domain, the virtual server; in each the first rule that matches decides.

Sources: BIG-IP Network Firewall documentation ("Firewall rules and contexts"). Accept goes on to the next context, accept-decisively ends
it, drop and reject end it too; what no rule matches goes on, and at a virtual server it is the device's default that decides. A rule that
cannot be evaluated counts as wide as it can be: it opens all it may open, and cuts nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from cloudsync.verify.f5_words import Ends, Rule, dumped_rule, from_body, span_in, spans_of
from cloudsync.verify.ground import Beyond, Corners, Json, Passage, Place, Whose, items, mapping, number, text, texts
from cloudsync.verify.space import ANY, BLOCK, EVERYWHERE, PORTED, Packets, Runs, Space, Spans, UnreadableError, networks, ports

_POLICY, _LIST = "/mgmt/tm/security/firewall/policy", "/mgmt/tm/security/firewall/address-list"
_VIRTUAL, _DOMAIN = "/mgmt/tm/ltm/virtual", "/mgmt/tm/net/route-domain"
_SYNC = "/mgmt/tm/cm"
_SILENT = frozenset({("POST", "/mgmt/tm/sys/config"), ("POST", _SYNC)})
GLOBAL, CONTEXT = "global", "route domain "


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy with its rules in their order."""

    ours: bool
    said: str
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class AddressList:
    """One address list. `odd`: it holds what nobody here can evaluate."""

    ours: bool
    said: str
    spans: tuple[str, ...]
    lists: tuple[str, ...]
    odd: bool


@dataclass(frozen=True, slots=True)
class Virtual:
    """One virtual server."""

    domain: int
    addresses: Spans
    peers: Spans
    listens: Runs
    enforced: str
    skipped: str


@dataclass(frozen=True, slots=True)
class RouteDomain:
    """One route domain."""

    id: int
    enforced: str


@dataclass(frozen=True, slots=True)
class State:
    """Everything that decides. `outer`: the state that contexts before the virtual server are in, where they change by themselves."""

    policies: Mapping[str, Policy]
    lists: Mapping[str, AddressList]
    virtuals: Mapping[str, Virtual]
    domains: Mapping[str, RouteDomain]
    outer: State | None = None
    saved: bool = field(default=True, compare=False)
    synced: bool = field(default=True, compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """One request of a step, read."""

    method: str
    kind: str
    path: str
    made: Policy | AddressList | None = None
    enforced: str | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """One step, read."""

    calls: tuple[Call, ...]
    whole: bool
    """All calls are committed together."""
    expect: tuple[tuple[str, str], ...] = ()


class Part(Enum):
    """Which rules of a policy are asked: ours on a route domain holds those that it took over from somebody else's."""

    ALL = "all"
    OWN = "own"
    INHERITED = "inherited"


class F5:
    """The platform."""

    unfamilied = False

    def __init__(self, space: Space, owner: str) -> None:
        self.space, self.owner = space, owner
        self.scope = self.active = self.enforced = self.group = ""
        self.opens = self.saves = True
        self.running: dict[str, str] = {}
        self.rule_lists: dict[str, tuple[Rule, ...]] = {}
        self.port_lists: dict[str, tuple[tuple[tuple[int, int], ...], tuple[str, ...]]] = {}
        self.domains: set[int] = set()
        space.addresses(EVERYWHERE)
        space.services(ANY)

    # --- reading -------------------------------------------------------------------------------------------------

    def read(self, dump: Json) -> State:
        """Return the state of a dump."""
        top = mapping(dump, "the table")
        if top.get("owner") != self.owner:
            raise UnreadableError("the table was read for another owner than the plan's")
        self.scope, self.active = text(top.get("scope"), "scope"), text(top.get("active"), "active")
        self.enforced, self.opens = text(top["global"][0], "a policy"), top.get("open_by_default") is True
        self.group, self.saves = text(top.get("group"), "a group"), top.get("saves") is True
        self.running = {key: text(value, "a policy") for key, value in mapping(top.get("running"), "running").items()}
        self.port_lists = {
            one["path"]: (tuple(map(_port, texts(one["ports"], "ports"))), texts(one["lists"], "lists")) for one in top["port_lists"]
        }
        virtuals = {text(one["path"], "a virtual server"): self._virtual(one) for one in items(top.get("virtuals"), "virtuals")}
        domains = {text(one[0], "a route domain"): RouteDomain(number(one[1], "an id"), one[2]) for one in top["route_domains"]}
        self.domains = {one.domain for one in virtuals.values()} | {one.id for one in domains.values()}
        lists = {text(one["path"], "a list"): self._list(one) for one in items(top.get("lists"), "lists")}
        self.rule_lists = {one["path"]: tuple(self._told(dumped_rule(raw)) for raw in one["rules"]) for one in top["rule_lists"]}
        policies = {
            text(one["path"], "a policy"): Policy(
                one["ours"] is True,
                text(one["description"], "a description"),
                tuple(self._told(dumped_rule(raw)) for raw in items(one["rules"], "rules")),
            )
            for one in items(top.get("policies"), "policies")
        }
        return State(policies, lists, virtuals, domains)

    def _virtual(self, one: Json) -> Virtual:
        listens: list[tuple[int, int]] = [
            (number(run[0], "a protocol") * BLOCK + run[1], run[0] * BLOCK + run[2]) for run in one["listens"]
        ]
        spans = [self.space.addresses(networks(texts(one[key], "addresses"))) for key in ("addresses", "peers")]
        runs = self.space.services(tuple(listens))
        return Virtual(number(one["route_domain"], "a route domain"), spans[0], spans[1], runs, one["enforced"], one["skipped"])

    def _list(self, one: Json) -> AddressList:
        spans, said = tuple(sorted(texts(one["addresses"], "addresses"))), text(one["description"], "a description")
        found = AddressList(one["ours"] is True, said, spans, texts(one["lists"], "lists"), bool(one["odd"]))
        self._note(found.spans)
        return found

    def _note(self, spans: Iterable[str]) -> None:
        for one in spans:
            self.space.addresses((span_in(one)[1],))

    def _told(self, rule: Rule) -> Rule:
        for end in (rule.source, rule.destination):
            self._note(end.spans)
        self.space.services(rule.services)
        for path in rule.port_lists:
            for run in self.listed_ports(rule, path, frozenset()):
                self.space.services((run,))
        return rule

    def listed_ports(self, rule: Rule, path: str, seen: frozenset[str]) -> Iterator[tuple[int, int]]:
        """Yield the runs that a port list gives a rule, nested lists included."""
        if path in self.port_lists and path not in seen:
            own, nested = self.port_lists[path]
            for first, last in own:
                for value in sorted(PORTED) if rule.protocol < 0 else [rule.protocol]:
                    yield from ports(value, first, last)
            for inner in nested:
                yield from self.listed_ports(rule, inner, seen | {path})

    # --- payloads ------------------------------------------------------------------------------------------------

    def act(self, payload: Json, step: Mapping[str, Json]) -> Act:
        """Return what a payload does."""
        del step
        top = mapping(json.loads(text(payload, "a payload")), "a payload")
        if top.get("host") != self.active:
            raise UnreadableError(f"{top.get('host')} is not the active device")
        expect = tuple(sorted((key, text(value, "a policy")) for key, value in mapping(top.get("expect", {}), "expect").items()))
        calls = tuple(self._call(one) for one in items(top.get("calls"), "calls"))
        if not calls:
            raise UnreadableError("a step without a call")
        return Act(calls, top.get("transaction", False) is True, expect)

    def _call(self, one: Json) -> Call:
        method, url = text(one.get("method"), "a method"), text(one.get("path"), "a path")
        body = one.get("body")
        if (method, url) in _SILENT:
            orders = ({"command": "save"}, {"command": "run", "utilCmdArgs": f"config-sync to-group {self.group}"})
            if body != orders[url == _SYNC]:
                raise UnreadableError(f"{url} is ordered to do something else")
            return Call(method, "sync" if url == _SYNC else "save", url)
        base, _, last = url.rpartition("/")
        path = last.replace("~", "/")
        if method == "POST" and url in (_POLICY, _LIST):
            path = "/".join(("", *(str(body[key]) for key in ("partition", "subPath", "name") if body.get(key))))
            made = self._policy(body) if url == _POLICY else self._sent(body)
            return Call(method, "policy" if url == _POLICY else "list", path, made)
        kind = {_POLICY: "policy", _LIST: "list", _VIRTUAL: "virtual", _DOMAIN: "domain"}.get(base, "")
        if method == "DELETE" and kind in ("policy", "list"):
            return Call(method, kind, path)
        if method == "PATCH" and kind == "list":
            return Call(method, kind, path, self._sent(body))
        if method == "PATCH" and kind in ("virtual", "domain"):
            if not set(mapping(body, "a body")) <= {"fwEnforcedPolicy", "fwStagedPolicy"}:
                raise UnreadableError(f"{path} is changed in more than its policies")
            enforced = body.get("fwEnforcedPolicy")
            return Call(method, kind, path, enforced=None if enforced is None else "" if enforced == "none" else text(enforced, "a policy"))
        raise UnreadableError(f"{method} {url} is no call that plans make")

    def _marked(self, body: Mapping[str, Json]) -> bool:
        parts = str(body.get("description", "")).split(":")
        return len(parts) == 4 and parts[:2] == ["cloudsync", self.owner] and all(parts[2:])

    def _policy(self, body: Mapping[str, Json]) -> Policy:
        found: list[Rule] = []
        after = "first"
        for raw in items(body.get("rules"), "rules"):
            if raw.get("placeAfter", after) != after:
                raise UnreadableError(f"rule {raw.get('name')} does not stand behind {after}: the order of rules is in doubt")
            found.append(self._told(from_body(raw)))
            after = found[-1].name
        if len({one.name for one in found}) < len(found):
            raise UnreadableError("two rules of a policy have one name")
        return Policy(self._marked(body), text(body.get("description"), "a description"), tuple(found))

    def _sent(self, body: Mapping[str, Json]) -> AddressList:
        if set(body) - {"name", "partition", "subPath", "description", "addresses"}:
            raise UnreadableError("a list says more than addresses")
        spans = tuple(sorted(spans_of(body.get("addresses"))))
        if not spans:
            raise UnreadableError("a list of ours would be empty, which means anybody")
        self._note(spans)
        return AddressList(self._marked(body), text(body.get("description"), "a description"), spans, (), odd=False)

    def after(self, state: State, acts: Iterable[Act]) -> State:
        """Return the state after acts in their order."""
        draft = _Draft(dict(state.policies), dict(state.lists), dict(state.virtuals), dict(state.domains), state.saved, state.synced)
        for act in acts:
            for context, policy in act.expect:
                if draft.carried(context) != policy:
                    raise UnreadableError(f"{context} does not carry the policy that the step expects")
            for call in act.calls:
                draft.call(call)
            draft.whole()
        return State(draft.policies, draft.lists, draft.virtuals, draft.domains, state.outer, draft.saved, draft.synced)

    def unfinished(self, state: State) -> str:
        """Return what is left to do at the end: to save what was changed, or to bring the group in step."""
        if self.saves and not state.saved:
            return "what was changed is not saved on the device at the end"
        return "the devices of the group are not brought in step at the end" if self.group and not state.synced else ""

    def places(self, state: State) -> Mapping[str, Place]:
        """Return every virtual server."""
        return {f"{self.scope}{path}": Place(path, one.addresses, one.skipped) for path, one in state.virtuals.items()}

    # --- what is let through -------------------------------------------------------------------------------------

    def passages(self, state: State, whose: Whose = Whose.ALL) -> Mapping[str, Passage]:
        """Return what gets in at each virtual server; out goes everything, a device asks no policy for what it opens itself."""
        inner, outer = Look(self, replace(state, outer=None)), Look(self, state.outer or replace(state, outer=None))
        found: dict[str, Passage] = {}
        for path, virtual in state.virtuals.items():
            taken = self.space.packets(virtual.peers, virtual.listens)
            if whose is Whose.OURS:
                found[f"{self.scope}{path}"] = Passage(self._ours(inner, path, virtual, taken))
            else:
                alone = whose is Whose.FOREIGN
                found[f"{self.scope}{path}"] = Passage(self._all(inner, outer, (path, virtual), taken, alone=alone), self.space.everything)
        return found

    def _all(self, inner: Look, outer: Look, at: tuple[str, Virtual], taken: Packets, *, alone: bool) -> Packets:
        """Return what gets in; `alone`: without our policies, and of those on route domains only what they took over."""
        path, virtual = at
        on, done = taken, 0
        for policy in (self.running.get(GLOBAL, self.enforced), outer.of_domain(virtual.domain)):
            if policy:
                part = Part.INHERITED if alone and outer.ours(policy) else Part.ALL
                passed, ended = outer.judge(policy, virtual, on, part=part)
                on, done = passed, done | ended
        policy = self.running.get(path, inner.state.virtuals[path].enforced)
        if not policy or (alone and inner.ours(policy)):
            return done | (on if self.opens else 0)
        passed, ended = inner.judge(policy, virtual, on, unmatched=self.opens)
        return done | passed | ended

    def _ours(self, look: Look, path: str, virtual: Virtual, taken: Packets) -> Packets:
        """Return what our policies let in by their own rules; of two in series what both do."""
        own, domain = self.running.get(path, virtual.enforced), look.of_domain(virtual.domain)
        asked = [(own, Part.ALL)] if look.ours(own) else []
        if look.ours(domain) and look.speaks(domain, virtual):
            asked.append((domain, Part.OWN))
        left = taken if asked else 0
        for policy, part in asked:
            passed, ended = look.judge(policy, virtual, left, unmatched=False, part=part)
            left = passed | ended
        return left

    def beyond(self, state: State, *, exclusive: bool) -> Mapping[str, Beyond]:
        """Return what a virtual server does not listen on, and what the policies of others do before ours and behind."""
        del exclusive
        look, everything = Look(self, state), self.space.everything
        found: dict[str, Beyond] = {}
        for path, virtual in state.virtuals.items():
            taken = self.space.packets(virtual.peers, virtual.listens)
            most, least = (self._around(look, (path, virtual), taken, wide=wide) for wide in (True, False))
            found[f"{self.scope}{path}"] = Beyond((everything & ~most, everything), (least, everything))
        return found

    def _around(self, look: Look, at: tuple[str, Virtual], taken: Packets, *, wide: bool) -> Packets:
        """Return what would get in if our policies let everything on, or nothing."""
        path, virtual = at
        on, done = taken, 0
        own = self.running.get(path, virtual.enforced)
        for policy in (self.running.get(GLOBAL, self.enforced), look.of_domain(virtual.domain)):
            if look.ours(policy):
                on = on if wide else 0
            elif policy:
                passed, ended = look.judge(policy, virtual, on)
                on, done = passed, done | ended
        if look.ours(own):
            return done | (on if wide else 0)
        if not own:
            return done | (on if self.opens else 0)
        passed, ended = look.judge(own, virtual, on, unmatched=self.opens)
        return done | passed | ended

    # --- any order -----------------------------------------------------------------------------------------------

    def corners(self, state: State, acts: Sequence[Act]) -> Corners[State]:
        """Return what bounds a phase: each point as before or as after a step, or its own context ahead of or behind those before it."""
        found = [state]
        parts = (part for act in acts for part in ((act,) if act.whole else [Act((call,), True) for call in act.calls]))
        for act in parts:
            last, now = found[-1], self.after(replace(found[-1], outer=None), (act,))
            if (now.policies, now.lists, now.virtuals, now.domains) != (last.policies, last.lists, last.virtuals, last.domains):
                found.extend((now, replace(last, outer=now), replace(now, outer=last), now))
        return Corners(tuple(found), tuple(found))


class Look:
    """One state, with what was resolved in it."""

    def __init__(self, f5: F5, state: State) -> None:
        self.f5, self.space, self.state = f5, f5.space, state
        self._flats: dict[tuple[str, int, Part], list[tuple[str, int | None, Packets]]] = {}
        self._judged: dict[tuple[object, ...], tuple[Packets, Packets]] = {}

    def ours(self, policy: str) -> bool:
        """Tell whether a policy is there and carries our mark."""
        return policy in self.state.policies and self.state.policies[policy].ours

    def of_domain(self, domain: int) -> str:
        """Return the policy of a route domain; empty for none."""
        return next(
            (self.f5.running.get(f"{CONTEXT}{path}", one.enforced) for path, one in self.state.domains.items() if one.id == domain), ""
        )

    def speaks(self, policy: str, virtual: Virtual) -> bool:
        """Tell whether a policy of a route domain has a rule of its own about a virtual server."""
        rules = self.state.policies[policy].rules
        own = self.space.mask(virtual.addresses)
        return any(self.end(one.destination, virtual.domain) & own for one in rules if not one.inherited and one.destination.said)

    def judge(
        self, policy: str, virtual: Virtual, packets: Packets, *, unmatched: bool = True, part: Part = Part.ALL
    ) -> tuple[Packets, Packets]:
        """Return what a policy lets on, and what it lets in for good; `part`: which of its rules are asked."""
        key = (policy, virtual.domain, part)
        if key not in self._flats:
            self._flats[key] = list(self._resolved(policy, virtual.domain, part))
        own = self.space.mask(virtual.addresses)
        flats = self._flats[key]
        met = tuple(at for at, (_, to, _) in enumerate(flats) if to is None or to & own)
        memo = (key, met, packets, unmatched)
        if memo not in self._judged:
            left, on, done = packets, 0, 0
            for action, _, hit in map(flats.__getitem__, met):
                now = left & hit
                left &= ~hit
                if action == "accept":
                    on |= now
                elif action == "accept-decisively":
                    done |= now
            self._judged[memo] = (on | (left if unmatched else 0), done)
        return self._judged[memo]

    def _resolved(self, policy: str, domain: int, part: Part) -> Iterator[tuple[str, int | None, Packets]]:
        held = self.state.policies.get(policy)
        rules = [one for one in (held.rules if held else ()) if part is Part.ALL or one.inherited is (part is Part.INHERITED)]
        for rule in self._expanded(rules, frozenset()):
            opens = rule.action in ("accept", "accept-decisively")
            listed = (*rule.source.lists, *rule.destination.lists)
            if not rule.action or (not opens and (rule.odd or any(self.odd(path) for path in listed))):
                continue
            source = self.end(rule.source, domain)
            if (rule.source.said and any(word in rule.odd for word in ("countries", "names to resolve"))) or any(
                map(self.odd, rule.source.lists)
            ):
                source = self.space.mask(EVERYWHERE)
            to = self.end(rule.destination, domain) if rule.destination.said else None
            yield rule.action, to, self.space.box(source, self._services(rule))

    def _expanded(self, rules: Iterable[Rule], seen: frozenset[str]) -> Iterator[Rule]:
        for rule in rules:
            if not rule.enabled:
                continue
            if not rule.rule_list:
                yield rule
            elif rule.rule_list not in seen:
                yield from self._expanded(self.f5.rule_lists.get(rule.rule_list, ()), seen | {rule.rule_list})

    def _services(self, rule: Rule) -> int:
        if not rule.port_lists:
            return self.space.row(rule.services)
        row = self.space.row(rule.services) if rule.ported else 0
        for path in rule.port_lists:
            for run in self.f5.listed_ports(rule, path, frozenset()):
                row |= self.space.row((run,))
        return row

    def end(self, ends: Ends, domain: int) -> int:
        """Return the addresses of one end of a rule in one route domain."""
        if not ends.said:
            return self.space.mask(EVERYWHERE)
        found = self._spans(ends.spans, domain)
        for path in ends.lists:
            found |= self._listed(path, domain, frozenset())
        return found

    def _listed(self, path: str, domain: int, seen: frozenset[str]) -> int:
        held = self.state.lists.get(path)
        if held is None or path in seen:
            return 0
        found = self._spans(held.spans, domain)
        for inner in held.lists:
            found |= self._listed(inner, domain, seen | {path})
        return found

    def _spans(self, spans: Iterable[str], domain: int) -> int:
        found = 0
        for one in spans:
            where, span = span_in(one)
            if where == domain:
                found |= self.space.mask((span,))
        return found

    def odd(self, path: str, seen: frozenset[str] = frozenset()) -> bool:
        """Tell whether a list holds what nobody here can evaluate."""
        held = self.state.lists.get(path)
        if held is None or path in seen:
            return False
        return held.odd or any(self.odd(inner, seen | {path}) for inner in held.lists)


@dataclass(slots=True)
class _Draft:
    """A state under change."""

    policies: dict[str, Policy]
    lists: dict[str, AddressList]
    virtuals: dict[str, Virtual]
    domains: dict[str, RouteDomain]
    saved: bool
    synced: bool

    def carried(self, context: str) -> str:
        """Return what a context enforces, `none` for nothing."""
        if context.startswith(CONTEXT):
            path = context.removeprefix(CONTEXT)
            return (self.domains[path].enforced or "none") if path in self.domains else ""
        return (self.virtuals[context].enforced or "none") if context in self.virtuals else ""

    def call(self, call: Call) -> None:
        """Carry one request."""
        if call.kind in ("save", "sync"):
            self.saved, self.synced = self.saved or call.kind == "save", self.synced or call.kind == "sync"
            return
        self.saved = self.synced = False
        if call.kind in ("virtual", "domain"):
            self._attach(call)
            return
        there: dict[str, Policy] | dict[str, AddressList] = self.policies if call.kind == "policy" else self.lists
        known = there.get(call.path)
        if (known is None) is not (call.method == "POST"):
            raise UnreadableError(f"{call.path} is {'not there' if known is None else 'there already'}")
        if (known is not None and not known.ours) or (call.made is not None and not call.made.ours):
            raise UnreadableError(f"{call.path} is not ours to write, or would be without our mark")
        if call.method == "DELETE":
            del there[call.path]
        elif isinstance(call.made, Policy):
            self.policies[call.path] = call.made
        else:
            assert isinstance(call.made, AddressList)
            held = self.lists.get(call.path)
            self.lists[call.path] = call.made if held is None else replace(held, said=call.made.said, spans=call.made.spans)

    def _attach(self, call: Call) -> None:
        if call.path not in (self.virtuals if call.kind == "virtual" else self.domains):
            raise UnreadableError(f"{call.path} is not there")
        if call.enforced is None:
            return
        if call.kind == "virtual":
            self.virtuals[call.path] = replace(self.virtuals[call.path], enforced=call.enforced)
        else:
            self.domains[call.path] = replace(self.domains[call.path], enforced=call.enforced)

    def whole(self) -> None:
        """Refuse what refers to something that is not there: a device does so when a step is committed."""
        enforced = [one.enforced for one in self.virtuals.values()] + [one.enforced for one in self.domains.values()]
        missing = next((one for one in enforced if one and one not in self.policies), "")
        if missing:
            raise UnreadableError(f"there is no policy {missing}")
        for policy in self.policies.values():
            if policy.ours:
                for rule in policy.rules:
                    absent = [path for path in (*rule.source.lists, *rule.destination.lists) if path not in self.lists]
                    if absent:
                        raise UnreadableError(f"there is no address list {absent[0]}")


def _port(text_: str) -> tuple[int, int]:
    first, _, last = text_.partition("-")
    return int(first), int(last or first)
