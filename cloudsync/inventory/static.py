"""The static inventory: workloads that no cloud API lists, from YAML and CSV files, with every finding at its place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from cloudsync.inventory.csv_text import Cell, read_rows
from cloudsync.model.address import NOWHERE, AddressSet, Family
from cloudsync.model.finding import Finding, Severity, Where
from cloudsync.model.quick import dataclass
from cloudsync.model.workload import DEFAULT_DOMAIN, Domain, Labels
from cloudsync.policy import characters, schema, strict
from cloudsync.policy.addresses import plain_address, read_entries
from cloudsync.policy.characters import shown
from cloudsync.policy.words import WANT_NAME, did_you_mean, is_name, listed

NAME_LENGTH = 255
_PLAIN_COLUMNS = ("name", "addresses", "domain", "ref")
_WIDEST = {Family.V4: 16, Family.V6: 48}
"""A workload that is larger than this is a network: an IP list, or a mistake."""


@dataclass(frozen=True, slots=True)
class StaticWorkload:
    """One entry. Its labels are as written; whether the vocabulary knows them is for `check_labels`."""

    name: str
    addresses: AddressSet
    labels: Labels
    domain: Domain
    ref: str
    where: Where
    label_places: tuple[tuple[str, Where], ...] = ()
    """Where each label key's value stands."""


@dataclass(frozen=True, slots=True)
class StaticInventory:
    """All entries of all files, ordered by name."""

    workloads: tuple[StaticWorkload, ...] = ()


def read_static(files: Iterable[tuple[str, bytes]], structure: Mapping[str, Any]) -> tuple[StaticInventory, tuple[Finding, ...]]:
    """Return the static inventory and all findings of all files, ordered by place. `structure` is the JSON Schema of an inventory file."""
    reader = _Files(structure, [], {}, {}, {})
    for path, content in files:
        (reader.csv if path.endswith(".csv") else reader.yaml)(path, content)
    entries = sorted(reader.names.values(), key=lambda entry: entry.name)
    ordered = sorted(reader.findings, key=lambda finding: (finding.where, finding.code))
    return StaticInventory(tuple(entries)), tuple(ordered)


def check_labels(static: StaticInventory, vocabulary: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """Yield an error for every label of an entry that the policy's vocabulary does not know."""
    allowed = {(key, value) for key, values in vocabulary.items() for value in values}
    for entry in static.workloads:
        if allowed.issuperset(entry.labels.pairs):
            continue
        places = dict(entry.label_places)
        for key, value in entry.labels.pairs:
            known = vocabulary.get(key)
            if known is None:
                hint = did_you_mean(key, vocabulary, f"declared: {listed(vocabulary)}")
                yield Finding(places[key], "UNKNOWN-LABEL", f"no label '{shown(key)}' is declared in the policy", hint)
            elif value not in known:
                hint = did_you_mean(value, known, f"known: {listed(known)}")
                yield Finding(places[key], "UNKNOWN-VALUE", f"{key} has no value '{shown(value)}'", hint)


@dataclass(frozen=True, slots=True)
class _Files:
    """Gathers entries over all files: a name or a ref may stand once over all of them."""

    structure: Mapping[str, Any]
    findings: list[Finding]
    names: dict[str, StaticWorkload]
    refs: dict[str, StaticWorkload]
    shared: dict[tuple[tuple[str, str], ...], Labels]

    def yaml(self, path: str, content: bytes) -> None:
        """Read one YAML file; an empty one holds no workloads."""
        node, findings = strict.load_node(path, content)
        self.findings.extend(findings)
        if node is None:
            return
        self.findings.extend(schema.check(node, self.structure, name=f"the file {path}"))
        listed_here = node.get("workloads") if isinstance(node, strict.Mapping) else None
        for item in listed_here.items if isinstance(listed_here, strict.Sequence) else ():
            if isinstance(item, strict.Mapping):
                self._entry(item)

    def _entry(self, node: strict.Mapping) -> None:
        name = node.get("name")
        cells = [(item.text, item.where) for item in _scalars(node.get("addresses"))]
        if not isinstance(name, strict.Scalar) or name.missing:
            self._addresses(cells)  # every mistake at once, those of an entry without a name as well
            return
        labels = node.get("labels")
        pairs = [(key, value) for key, value in labels.entries] if isinstance(labels, strict.Mapping) else []
        named = [(key.text, Cell(value.text, value.where)) for key, value in pairs if isinstance(value, strict.Scalar)]
        self._add(Cell(name.text, name.where), self._addresses(cells), named, _scalar(node, "domain"), _scalar(node, "ref"))

    def csv(self, path: str, content: bytes) -> None:
        """Read one CSV file: a header row, then one workload a row."""
        if len(content) > strict.MAX_BYTES:
            self.findings.append(strict.too_big(path))
            return
        text, wrong = characters.decode(path, content)
        self.findings.extend(wrong)
        if text is None:
            return
        broken = characters.merge_markers(path, text)
        rows, wrong = read_rows(path, characters.parseable(text))
        self.findings.extend(broken or wrong)
        if broken or wrong or not rows or not self._header(rows[0]):
            return
        source = characters.Text(text)
        columns = {cell.text: at for at, cell in enumerate(rows[0])}
        as_it_is = text.isascii()
        for row in rows[1:]:
            self._row(columns, row if as_it_is else [self._clean(cell, source) for cell in row])

    def _clean(self, cell: Cell, source: characters.Text) -> Cell:
        if cell.text.isascii():
            return cell
        _, text = characters.escaped(cell.where, cell.text)
        mixed, text = characters.mixed_script(source, source.offset(cell.where), text, cell.where)
        self.findings.extend(mixed)
        return Cell(text, cell.where)

    def _header(self, header: tuple[Cell, ...]) -> bool:
        """Check the first row; False when the rows below cannot be read."""
        names = [cell.text for cell in header]
        first = header[0]
        if len(header) == 1 and ";" in first.text:
            self._report(
                first.where,
                "CSV-HEADER",
                "columns are separated by ';'",
                "separate them by commas; addresses within a cell by blanks or ';'",
            )
            return False
        usable = True
        for number, cell in enumerate(header):
            if cell.text in names[:number]:
                self._report(
                    cell.where, "DUPLICATE-KEY", f"column '{shown(cell.text)}' again (first is column {names.index(cell.text) + 1})"
                )
                usable = False
            elif not is_name(cell.text):
                self._report(cell.where, "BAD-VALUE", f"'{shown(cell.text)}' is no name of a column", WANT_NAME)
                usable = False
        for wanted in ("name", "addresses"):
            if wanted not in names:
                self._report(
                    first.where, "MISSING-FIELD", f"no column '{wanted}'", "the first row names the columns: name,addresses,<label keys...>"
                )
                usable = False
        return usable

    def _row(self, columns: Mapping[str, int], row: Sequence[Cell]) -> None:
        if len(row) != len(columns):
            self._report(
                row[0].where,
                "CSV-COLUMNS",
                f"{len(row)} cells under {len(columns)} columns",
                "file cut?" if len(row) < len(columns) else "",
            )
            return
        name, addresses = row[columns["name"]], row[columns["addresses"]]
        if not name.text:
            self._report(name.where, "MISSING-VALUE", "'name' has no value", "every workload has a name")
            self._addresses(list(_words(addresses)))
            return
        plain = plain_address(addresses.text)
        found = self._addresses(list(_words(addresses))) if plain is None else plain
        labels = [(key, row[at]) for key, at in columns.items() if key not in _PLAIN_COLUMNS and row[at].text]
        domain, ref = (row[columns[key]] if key in columns else None for key in ("domain", "ref"))
        self._add(name, found, labels, domain, ref)

    def _add(
        self,
        name: Cell,
        addresses: AddressSet,
        labels: list[tuple[str, Cell]],
        domain: Cell | None,
        ref: Cell | None,
    ) -> None:
        if len(name.text) > NAME_LENGTH or not name.text.isprintable():
            self._report(
                name.where, "BAD-VALUE", f"'{shown(name.text)}' is no valid name", f"want one line, at most {NAME_LENGTH} characters"
            )
            return
        entry = StaticWorkload(
            name=name.text,
            addresses=addresses,
            labels=self._labels(labels),
            domain=Domain(domain.text) if domain and domain.text else DEFAULT_DOMAIN,
            ref=ref.text if ref else "",
            where=name.where,
            label_places=tuple((key, cell.where) for key, cell in labels),
        )
        if self._is_new(self.names, entry.name, "workload", entry) and entry.ref:
            self._is_new(self.refs, entry.ref, "ref", entry)

    def _labels(self, cells: list[tuple[str, Cell]]) -> Labels:
        """Return labels; those of many entries are one value."""
        pairs = tuple([(key, cell.text) for key, cell in cells])
        found = self.shared.get(pairs)
        if found is None:
            found = self.shared[pairs] = Labels.of(dict(pairs))
        return found

    def _is_new(self, seen: dict[str, StaticWorkload], text: str, what: str, entry: StaticWorkload) -> bool:
        first = seen.setdefault(text, entry)
        if first is not entry:
            self._report(entry.where, "DUPLICATE-NAME", f"{what} '{shown(text)}' again (first at {first.where.file}:{first.where.line})")
        return first is entry

    def _addresses(self, entries: list[tuple[str, Where]]) -> AddressSet:
        found = NOWHERE
        for text, where in entries:
            if text.startswith("!"):
                self._report(where, "BAD-ADDRESS", f"'{shown(text)}': a workload leaves nothing out", "list what it has")
                continue
            addresses, wrong = read_entries([(text, where)])
            self.findings.extend(wrong)
            if any(length < _WIDEST[family] for family, _, length in addresses.prefixes()):
                self._report(where, "TOO-WIDE", f"{shown(text)} is no workload but a network", "make it an iplist of the policy")
                continue
            found |= addresses
        return found

    def _report(self, where: Where, code: str, message: str, hint: str = "", severity: Severity = Severity.ERROR) -> None:
        self.findings.append(Finding(where, code, message, hint, severity))


def _words(cell: Cell) -> Iterator[tuple[str, Where]]:
    """Yield the addresses of a cell, separated by blanks or ';', each with its place."""
    word, at = "", 0
    for offset, letter in zip(count(), cell.text + " ", strict=False):
        if letter in " ;\t\n":
            if word:
                yield word, Where(cell.where.file, cell.where.line, cell.where.col + at)
            word = ""
        else:
            at = at if word else offset
            word += letter


def _scalars(node: strict.Node | None) -> Iterator[strict.Scalar]:
    for item in node.items if isinstance(node, strict.Sequence) else ():
        if isinstance(item, strict.Scalar) and not item.missing:
            yield item


def _scalar(node: strict.Mapping, key: str) -> Cell | None:
    value = node.get(key)
    return Cell(value.text, value.where) if isinstance(value, strict.Scalar) else None
