"""The objects of a policy: the closed vocabulary of labels, label groups, IP lists and services, each declared once over all files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field

from cloudsync.model.address import AddressSet
from cloudsync.model.finding import Finding, Severity, Where
from cloudsync.model.quick import dataclass
from cloudsync.model.service import ServiceSet
from cloudsync.policy.addresses import read_entries
from cloudsync.policy.reading import Reader, named
from cloudsync.policy.services import read_service
from cloudsync.policy.strict import MAX_DEPTH, Mapping, Node, Scalar
from cloudsync.policy.words import GRAMMAR_WORDS, did_you_mean, is_number, listed


@dataclass(frozen=True, slots=True)
class Group:
    """A label group with its nested groups expanded, values in the order of the vocabulary."""

    key: str
    values: tuple[str, ...]
    where: Where


@dataclass(frozen=True, slots=True)
class Addresses:
    """An IP list as a set."""

    addresses: AddressSet
    where: Where


@dataclass(frozen=True, slots=True)
class Service:
    """A service as a set; `process` is empty for any process."""

    services: ServiceSet
    process: str
    where: Where


@dataclass(slots=True)
class Objects:
    """Everything that sentences can name. `used` collects the names of groups, IP lists and services that something names."""

    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    iplists: dict[str, Addresses] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    used: set[tuple[str, str]] = field(default_factory=set)
    owners: dict[str, list[str]] = field(default_factory=dict)
    """Value or group -> the label keys that own it."""

    def values_of(self, key: str, value: str) -> tuple[str, ...] | None:
        """Return the values that a value or group of a key stands for; None when the key has neither."""
        if value in self.labels.get(key, ()):
            return (value,)
        group = self.groups.get(value)
        return group.values if group is not None and group.key == key else None

    def words_of(self, key: str) -> tuple[str, ...]:
        """Return the values and groups of a key."""
        return self.labels.get(key, ()) + tuple(name for name, group in self.groups.items() if group.key == key)

    def declared(self) -> Iterator[tuple[str, str, Where]]:
        """Yield kind, name and place of what can be unused."""
        for name, group in self.groups.items():
            yield "label group", name, group.where
        for name, iplist in self.iplists.items():
            yield "iplist", name, iplist.where
        for name, service in self.services.items():
            yield "service", name, service.where


class ObjectReader:
    """Reads the object sections of all files."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.objects = Objects()
        self.places: dict[tuple[str, str], Where] = {}
        self.groups: dict[str, tuple[Scalar, Scalar, tuple[Scalar, ...]]] = {}
        self.expanded: dict[str, frozenset[str]] = {}

    def read(self, documents: Iterable[Mapping]) -> Objects:
        """Return the objects of all files together."""
        every = list(documents)
        for section, read in (
            ("labels", self._labels),
            ("label_groups", self._group),
            ("iplists", self._iplist),
            ("services", self._service),
        ):
            for document in every:
                node = document.get(section)
                mapping = None if node is None else self.reader.mapping(node, f"'{section}'")
                for name, value in named(mapping) if mapping is not None else ():
                    if self._declare(section, name):
                        read(name, value)
        self._expand_groups()
        for key in self.objects.labels:
            for word in self.objects.words_of(key):
                self.objects.owners.setdefault(word, []).append(key)
        return self.objects

    def _declare(self, section: str, name: Scalar) -> bool:
        """Check a name and that it is new."""
        kind = {"labels": "label", "label_groups": "label group", "iplists": "iplist", "services": "service"}[section]
        if self.reader.name(name, kind) is None or not self._free(name, kind):
            return False
        first = self.places.setdefault((section, name.text), name.where)
        if first != name.where:
            self.reader.report(name.where, "DECLARED-TWICE", f"{kind} '{name.text}' again (first at {first})", "declare it once")
            return False
        return True

    def _free(self, name: Scalar, kind: str) -> bool:
        taken = name.text in GRAMMAR_WORDS or (kind == "service" and is_number(name.text))
        if taken:
            self.reader.report(name.where, "RESERVED-WORD", f"{kind} '{name.text}' is a word of the grammar", "use another name")
        return not taken

    def _labels(self, key: Scalar, node: Node) -> None:
        values: dict[str, Where] = {}
        for value in self.reader.texts(node, f"label '{key.text}'"):
            if self.reader.name(value, f"value of label '{key.text}'") is None or not self._free(value, "label value"):
                continue
            if value.text in values:
                self.reader.report(value.where, "DECLARED-TWICE", f"value '{value.text}' of label '{key.text}' again", "declare it once")
            values.setdefault(value.text, value.where)
        self.objects.labels[key.text] = tuple(values)

    def _group(self, name: Scalar, node: Node) -> None:
        mapping = self.reader.mapping(node, f"label group '{name.text}'")
        if mapping is None:
            return
        if len(mapping.entries) != 1:
            hint = "want e.g. nonprod: {env: [dev, test]}"
            self.reader.report(name.where, "BAD-GROUP", f"label group '{name.text}' has {len(mapping.entries)} keys, not one", hint)
            return
        key, values = mapping.entries[0]
        if key.text not in self.objects.labels:
            hint = did_you_mean(key.text, self.objects.labels, f"declared are {listed(self.objects.labels)}")
            self.reader.report(key.where, "UNKNOWN-LABEL", f"no label '{key.text}'", hint)
            return
        if name.text in self.objects.labels[key.text]:
            self.reader.report(
                name.where, "DECLARED-TWICE", f"label group '{name.text}' is a value of '{key.text}' too", "use another name"
            )
            return
        self.groups[name.text] = (name, key, self.reader.texts(values, f"label group '{name.text}'"))

    def _expand_groups(self) -> None:
        for name, (at, key, members) in self.groups.items():
            before = len(self.reader.findings)
            found = self._expand(name, ())
            ordered = tuple(value for value in self.objects.labels[key.text] if value in found)
            self.objects.groups[name] = Group(key.text, ordered, at.where)
            if not members and len(self.reader.findings) == before:
                self.reader.report(at.where, "EMPTY-GROUP", f"label group '{name}' has no value", "give it values, or take it out")

    def _expand(self, name: str, path: tuple[str, ...]) -> frozenset[str]:
        """Return the values of a group; each group is walked once, so that a wide lattice of groups stays cheap."""
        if name in self.expanded:
            return self.expanded[name]
        _, key, members = self.groups[name]
        own, found = self.objects.labels[key.text], set[str]()
        inside = (*path, name)
        for value in members:
            inner = self.groups.get(value.text)
            if value.text in own:
                found.add(value.text)
            elif inner is None or inner[1].text != key.text:
                self._unknown_member(key.text, value, elsewhere=inner is not None)
            elif value.text in inside:
                circle = (*inside[inside.index(value.text) :], value.text)
                self.reader.report(value.where, "CYCLE", " -> ".join(circle), "a label group cannot contain itself")
            elif len(inside) >= MAX_DEPTH:
                self.reader.report(value.where, "NESTING", f"label groups deeper than {MAX_DEPTH}")
            else:
                found |= self._expand(value.text, inside)
        self.expanded[name] = frozenset(found)
        return self.expanded[name]

    def _unknown_member(self, key: str, value: Scalar, *, elsewhere: bool) -> None:
        if elsewhere:
            self.reader.report(value.where, "BAD-GROUP", f"label group '{value.text}' is of another label", f"want values of '{key}'")
            return
        candidates = (*self.objects.labels[key], *(name for name, (_, own, _) in self.groups.items() if own.text == key))
        hint = did_you_mean(value.text, candidates, f"it has {listed(candidates)}")
        self.reader.report(value.where, "UNKNOWN-VALUE", f"{key} has no value '{value.text}'", hint)

    def _iplist(self, name: Scalar, node: Node) -> None:
        before = len(self.reader.findings)
        entries = self.reader.texts(node, f"iplist '{name.text}'")
        found, wrong = read_entries((entry.text.strip(), entry.where) for entry in entries)
        self.reader.findings.extend(wrong)
        self.objects.iplists[name.text] = Addresses(found, name.where)
        if not found and len(self.reader.findings) == before:
            hint = "rules that name it compile to no rule"
            self.reader.report(name.where, "EMPTY-SELECTOR", f"iplist '{name.text}' has no address", hint, Severity.WARNING)

    def _service(self, name: Scalar, node: Node) -> None:
        what, process, before = f"service '{name.text}'", "", len(self.reader.findings)
        ports: Node | None = node
        if isinstance(node, Mapping):
            self.reader.fields(node, ("ports", "process"), what)
            ports = self.reader.required(node, "ports", what)
            found = node.get("process")
            path = None if found is None else self.reader.text(found, f"process of {what}")
            process = "" if path is None else path.text
        sets: list[ServiceSet] = []
        texts = () if ports is None else self.reader.texts(ports, what)
        for text in texts:
            one = read_service(text.text.strip(), text.where)
            if isinstance(one, Finding):
                self.reader.findings.append(one)
            else:
                sets.append(one)
        if not sets and len(self.reader.findings) == before:
            self.reader.report(name.where, "MISSING-VALUE", f"{what} is empty", "want e.g. tcp/443")
        self.objects.services[name.text] = Service(ServiceSet.union_all(sets), process, name.where)
