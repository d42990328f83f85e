"""Reading the tree of a file with one rule: whatever is not understood is a finding at its place, and reading goes on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cloudsync.model.finding import Finding, Severity, Where
from cloudsync.policy.place import Piece, Sources
from cloudsync.policy.strict import Mapping, Node, Scalar, Sequence
from cloudsync.policy.words import WANT_NAME, did_you_mean, is_name, listed

_KINDS = {Scalar: "a text", Sequence: "a list", Mapping: "a mapping"}
_TRUE, _FALSE = frozenset({"true", "yes", "on"}), frozenset({"false", "no", "off"})


class Reader:
    """Collects findings while it hands out what is well formed. Missing values are passed over: strict loading reported them."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.findings: list[Finding] = []

    def report(self, where: Where, code: str, message: str, hint: str = "", severity: Severity = Severity.ERROR) -> None:
        """Add one finding."""
        self.findings.append(Finding(where, code, message, hint, severity))

    def piece(self, scalar: Scalar) -> Piece:
        """Return a scalar whose words can be placed."""
        return Piece(scalar, self.sources)

    def mapping(self, node: Node | None, what: str) -> Mapping | None:
        """Return a mapping; None (with a finding) when it is something else."""
        if isinstance(node, Mapping):
            return node
        self._wrong(node, what, "a mapping")
        return None

    def sequence(self, node: Node | None, what: str) -> tuple[Node, ...]:
        """Return the items of a list; none (with a finding) when it is something else."""
        if isinstance(node, Sequence):
            return tuple(item for item in node.items if not _absent(item))
        self._wrong(node, what, "a list")
        return ()

    def text(self, node: Node | None, what: str) -> Scalar | None:
        """Return a text that is not empty; None (with a finding) when it is something else."""
        if isinstance(node, Scalar) and node.text.strip():
            return node
        if isinstance(node, Scalar) and node.quoted:
            self.report(node.where, "MISSING-VALUE", f"{what} is empty")
        else:
            self._wrong(node, what, "a text")
        return None

    def texts(self, node: Node | None, what: str) -> tuple[Scalar, ...]:
        """Return one text or a list of texts as a list."""
        if not isinstance(node, Sequence):
            found = self.text(node, what)
            return () if found is None else (found,)
        items = (self.text(item, f"an item of {what}") for item in node.items if not _absent(item))
        return tuple(item for item in items if item is not None)

    def name(self, node: Node | None, what: str) -> Scalar | None:
        """Return a text that is a name."""
        found = self.text(node, what)
        if found is None or is_name(found.text):
            return found
        lowered = found.text.strip().lower().replace(" ", "-")
        hint = f"did you mean '{lowered}'; {WANT_NAME}" if is_name(lowered) else WANT_NAME
        self.report(found.where, "BAD-NAME", f"{what} '{found.text}' is no name", hint)
        return None

    def flag(self, node: Node | None, what: str) -> bool:
        """Return true or false."""
        found = self.text(node, what)
        if found is None:
            return False
        if found.text not in _TRUE | _FALSE:
            self.report(found.where, "BAD-VALUE", f"{what} is '{found.text}'", "want true or false")
        return found.text in _TRUE

    def fields(self, mapping: Mapping, known: Iterable[str], what: str) -> None:
        """Report keys that mean nothing here."""
        names = tuple(known)
        for key, _ in mapping.entries:
            if key.text not in names and not key.missing:
                hint = did_you_mean(key.text, names, f"want {listed(names, 12)}")
                self.report(key.where, "UNKNOWN-FIELD", f"{what} has no field '{key.text}'", hint)

    def required(self, mapping: Mapping, key: str, what: str, hint: str = "") -> Node | None:
        """Return the value of a key that must be there."""
        node = mapping.get(key)
        if node is None:
            self.report(mapping.where, "MISSING-FIELD", f"{what} has no '{key}'", hint)
        return node

    def _wrong(self, node: Node | None, what: str, want: str) -> None:
        if node is not None and not _absent(node):
            self.report(node.where, "WRONG-TYPE", f"{what} is {_KINDS[type(node)]}", f"want {want}")


def named(mapping: Mapping) -> Iterator[tuple[Scalar, Node]]:
    """Yield the entries whose key and value are both there."""
    return ((key, node) for key, node in mapping.entries if not key.missing and not _absent(node))


def _absent(node: Node) -> bool:
    return isinstance(node, Scalar) and node.missing
