"""From words to meaning: bare words get their label, names become sets, and every word that means nothing is a finding with a hint."""

from __future__ import annotations

from datetime import UTC, datetime

from cloudsync.model.finding import Finding
from cloudsync.model.service import ServiceSet
from cloudsync.policy.objects import Objects
from cloudsync.policy.services import read_service, starts_like_a_protocol
from cloudsync.policy.syntax import ANY, BaseTree, LabelsBase, NamedBase, Plain, PlainBase, Term, WhoTree, Word
from cloudsync.policy.values import (
    AllWorkloads,
    Anywhere,
    Base,
    Internet,
    IpList,
    LabelSelector,
    NamedWorkload,
    Strangers,
    UnlabeledWorkloads,
    Who,
    WorkloadBase,
)
from cloudsync.policy.words import WANT_NAME, did_you_mean, is_name, listed

_PLAIN: dict[Plain, Base] = {
    Plain.ALL: AllWorkloads(),
    Plain.UNLABELED: UnlabeledWorkloads(),
    Plain.ANYWHERE: Anywhere(),
    Plain.STRANGERS: Strangers(),
    Plain.INTERNET: Internet(),
}
_TIME_SHAPE = "dddd-dd-ddTdd:dd:ddZ"


class Resolver:
    """Looks words up. A method returns None where it added a finding; the canonical tree goes along with the meaning."""

    def __init__(self, objects: Objects, findings: list[Finding]) -> None:
        self.objects, self.findings = objects, findings

    def _report(self, word: Word, code: str, message: str, hint: str = "") -> None:
        self.findings.append(Finding(word.where, code, message, hint))

    # --- who

    def sources(self, trees: tuple[WhoTree, ...], *, scoped: bool) -> tuple[tuple[Who, ...], tuple[WhoTree, ...]]:
        """Return the sources of a rule (`scoped`) or of a test, with their canonical trees."""
        for tree in trees:
            if tree.outside is not None and not scoped:
                self._report(tree.outside, "OUTSIDE-TEST", "a test has no scope to be outside of", "leave `outside` out")
            elif tree.outside is not None and not _is_workloads(tree.base):
                hint = "leave `outside` out: a scope never restricts addresses"
                self._report(tree.outside, "OUTSIDE-ADDRESS", "`outside` before addresses", hint)
        return self._whos(trees)

    def destinations(self, trees: tuple[WhoTree, ...]) -> tuple[tuple[Who, ...], tuple[WhoTree, ...]]:
        """Return the destinations, with their canonical trees."""
        for tree in trees:
            if tree.outside is not None:
                hint = "the destination is always inside the scope; move the rule to the ruleset of its destination"
                self._report(tree.outside, "OUTSIDE-DESTINATION", "`outside` on the destination side", hint)
        return self._whos(trees)

    def _whos(self, trees: tuple[WhoTree, ...]) -> tuple[tuple[Who, ...], tuple[WhoTree, ...]]:
        pairs = [pair for pair in map(self._who, trees) if pair is not None]
        return tuple(who for who, _ in pairs), tuple(tree for _, tree in pairs)

    def _who(self, tree: WhoTree) -> tuple[Who, WhoTree] | None:
        base = self._base(tree.base)
        if tree.excluded is None:
            return None if base is None else (Who(base[0], (), tree.outside is not None), WhoTree(base[1], None, tree.outside))
        excluded = self._base(tree.excluded)
        if _is_workloads(tree.base) and not _is_workloads(tree.excluded):
            hint = "workloads except workloads, or addresses except either"
            self._report(_first_word(tree.excluded), "EXCEPT-TYPE", "workloads except addresses", hint)
            return None
        if base is None or excluded is None:
            return None
        outside = tree.outside is not None
        return Who(base[0], (excluded[0],), outside), WhoTree(base[1], excluded[1], tree.outside)

    def _base(self, tree: BaseTree) -> tuple[Base, BaseTree] | None:
        match tree:
            case PlainBase(kind):
                return _PLAIN[kind], tree
            case NamedBase(iplist, name):
                if not iplist:
                    return NamedWorkload(name.text), tree
                found = self.objects.iplists.get(name.text)
                if found is None:
                    self._unknown("UNKNOWN-IPLIST", name, f"no iplist '{name.text}'", tuple(self.objects.iplists))
                    return None
                self.objects.used.add(("iplist", name.text))
                return IpList(name.text, found.addresses), tree
            case LabelsBase(terms):
                resolved = self.selector(terms)
                return None if resolved is None else (resolved[0], LabelsBase(resolved[1]))

    def _unknown(self, code: str, word: Word, message: str, known: tuple[str, ...]) -> None:
        otherwise = f"declared are {listed(known)}" if known else "none is declared"
        self._report(word, code, message, did_you_mean(word.text, known, otherwise))

    # --- labels

    def selector(self, terms: tuple[Term, ...]) -> tuple[LabelSelector, tuple[Term, ...]] | None:
        """Return what labels select, with the canonical terms."""
        clauses: dict[str, tuple[str, ...]] = {}
        done: list[Term] = []
        wrong = False
        for term in terms:
            key = self._key(term)
            values = None if key is None else self._values(key.text, term.values)
            if key is None or values is None:
                wrong = True
            elif key.text in clauses:
                hint = f"{key.text}=a|b means either; one workload has one value"
                self._report(term.key or term.values[0], "LABEL-TWICE", f"label '{key.text}' stands twice", hint)
                wrong = True
            else:
                clauses[key.text] = values
                done.append(Term(key, term.values))
        return None if wrong else (LabelSelector(tuple(sorted(clauses.items()))), tuple(done))

    def _key(self, term: Term) -> Word | None:
        """Return the label key of a term; a bare word must have exactly one owner."""
        if term.key is not None:
            if term.key.text in self.objects.labels:
                return term.key
            self._unknown("UNKNOWN-LABEL", term.key, f"no label '{term.key.text}'", tuple(self.objects.labels))
            return None
        first = term.values[0]
        owners = [key for key in self.objects.labels if all(key in self.objects.owners.get(word.text, ()) for word in term.values)]
        if len(owners) == 1:
            return first.renamed(owners[0])
        if owners:
            written = "|".join(word.text for word in term.values)
            choices = " or ".join(f"{key}={written}" for key in owners)
            self._report(first, "AMBIGUOUS-WORD", f"'{written}' is a value of {' and '.join(owners)}", f"write {choices}")
            return None
        self._unknown_word(term)
        return None

    def _unknown_word(self, term: Term) -> None:
        word = next((word for word in term.values if word.text not in self.objects.owners), term.values[0])
        text = word.text
        if text in self.objects.owners:
            written = "|".join(value.text for value in term.values)
            self._report(word, "UNKNOWN-WORD", f"'{written}' is not of one label", "values joined with '|' belong to one label")
        elif text in self.objects.labels:
            self._report(word, "UNKNOWN-WORD", f"'{text}' is a label, not a value", f"want {text}={listed(self.objects.words_of(text), 4)}")
        elif text in self.objects.iplists:
            self._report(word, "UNKNOWN-WORD", f"'{text}' is an iplist", f"write iplist {text}")
        elif _like_an_address(text):
            self._report(word, "UNKNOWN-WORD", f"'{text}' is an address", "name it under 'iplists' and write iplist NAME")
        else:
            hint = did_you_mean(text, (*self.objects.owners, *(plain.value for plain in Plain)), "it is no value of any label")
            self._report(word, "UNKNOWN-WORD", f"unknown word '{text}'", hint)

    def _values(self, key: str, words: tuple[Word, ...]) -> tuple[str, ...] | None:
        found: set[str] = set()
        wrong = False
        for word in words:
            values = self.objects.values_of(key, word.text)
            if values is None:
                known = self.objects.words_of(key)
                self._unknown("UNKNOWN-VALUE", word, f"{key} has no value '{word.text}'", known)
                wrong = True
                continue
            if word.text in self.objects.groups:
                self.objects.used.add(("label group", word.text))
            found.update(values)
        return None if wrong else tuple(sorted(found))

    # --- what

    def services(self, words: tuple[Word, ...]) -> tuple[ServiceSet, str, tuple[Word, ...]]:
        """Return services, the process they name (empty for any) and the canonical words."""
        sets: list[ServiceSet] = []
        done: list[Word] = []
        processes: set[str] = set()
        for word in words:
            declared = self.objects.services.get(word.text)
            if declared is not None:
                self.objects.used.add(("service", word.text))
                sets.append(declared.services)
                processes.add(declared.process)
                done.append(word)
                continue
            if word.text != ANY and not starts_like_a_protocol(word.text):
                declared_names = f"declared are {listed(self.objects.services)}" if self.objects.services else "none is declared"
                hint = did_you_mean(word.text, (*self.objects.services, "tcp", "udp"), f"{declared_names}; or write e.g. tcp/443")
                self._report(word, "UNKNOWN-SERVICE", f"no service '{word.text}'", hint)
                continue
            found = read_service(word.text, word.where)
            if isinstance(found, Finding):
                self.findings.append(found)
                continue
            sets.append(found)
            processes.add("")
            done.append(word.renamed(found.text()))
        if len(processes) > 1:
            hint = "write one rule for each process"
            self._report(words[0], "MIXED-PROCESS", "services of different processes in one rule", hint)
        return ServiceSet.union_all(sets), max(processes, default=""), tuple(done)

    # --- clauses

    def owner(self, word: Word) -> None:
        """Check the name of an owner."""
        if not is_name(word.text):
            self._report(word, "BAD-NAME", f"owner '{word.text}' is no name", WANT_NAME)

    def process(self, word: Word, of_service: str) -> str:
        """Return the process of a rule whose services may name one already."""
        if of_service not in ("", word.text):
            self._report(word, "MIXED-PROCESS", f"the service is of process {of_service}", "leave 'by process' out")
        return word.text

    def until(self, word: Word) -> datetime | None:
        """Return the instant of `until`: UTC, to the second."""
        found = read_time(word.text)
        if found is None:
            self._report(word, "BAD-TIME", f"'{word.text}' is no UTC time", time_hint(word.text))
        return found


def read_time(text: str) -> datetime | None:
    """Return a UTC timestamp `2027-03-31T00:00:00Z` (seconds may be left out); None when it is anything else."""
    full = f"{text[:-1]}:00Z" if len(text) == 17 else text
    if len(full) != len(_TIME_SHAPE) or not full.isascii():
        return None
    if not all(letter.isdigit() if want == "d" else letter == want for want, letter in zip(_TIME_SHAPE, full, strict=True)):
        return None
    try:
        return datetime(int(full[:4]), int(full[5:7]), int(full[8:10]), int(full[11:13]), int(full[14:16]), int(full[17:19]), tzinfo=UTC)
    except ValueError:
        return None


def time_text(moment: datetime) -> str:
    """Return the canonical text of an instant."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def time_hint(text: str) -> str:
    """Return what may have been meant by a text that is no UTC time."""
    for guess in (f"{text}T00:00:00Z", f"{text}Z", f"{text}:00Z", text.upper(), text.replace("+00:00", "Z").replace(" ", "T")):
        found = read_time(guess)
        if found is not None:
            return f"did you mean {time_text(found)}"
    return "want UTC, e.g. 2027-03-31T00:00:00Z"


def _is_workloads(tree: BaseTree) -> bool:
    match tree:
        case LabelsBase():
            return True
        case NamedBase(iplist, _):
            return not iplist
        case PlainBase(kind):
            return kind in (Plain.ALL, Plain.UNLABELED)


def _first_word(tree: BaseTree) -> Word:
    match tree:
        case LabelsBase(terms):
            return terms[0].key or terms[0].values[0]
        case NamedBase(_, name):
            return name
        case PlainBase(_, word):
            return word


def _like_an_address(text: str) -> bool:
    letters = frozenset(text.lower())
    return (letters <= frozenset("0123456789./-") and "." in text) or (letters <= frozenset("0123456789abcdef:./-") and text.count(":") > 1)


def is_workload_base(base: Base) -> bool:
    """Tell whether a selector picks workloads (and not addresses)."""
    return isinstance(base, WorkloadBase)
