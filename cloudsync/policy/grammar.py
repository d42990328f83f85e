"""The grammar of rules, scopes and tests: recursive descent over words with places; the first mistake of a sentence is raised as a finding.

rule    = ("allow" | "deny" | "never allow") who {"," who} "to" ["reach"] who {"," who} "on" what {"," what} {clause}
test    = who {"," who} ("can" | "cannot") "reach" who {"," who} "on" what {"," what}
        | "only" who {"," who} "may" "reach" who {"," who} "on" what {"," what}
who     = ["outside"] base ["except" base]
scope   = "all" | term {term}
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from cloudsync.model.errors import PolicyError
from cloudsync.model.finding import Finding
from cloudsync.policy.place import Piece
from cloudsync.policy.syntax import (
    ANY,
    NO_CLAUSES,
    BaseTree,
    Clauses,
    LabelsBase,
    NamedBase,
    Plain,
    PlainBase,
    RuleTree,
    Term,
    TestTree,
    WhoTree,
    Word,
)
from cloudsync.policy.values import Action, Expectation
from cloudsync.policy.words import ACCEPTS, BASE_WORDS, GRAMMAR_WORDS, STOP_WORDS, did_you_mean, is_number, listed

_TOKEN = re.compile(r'\s*(?:("(?:[^"\\]|\\.)*")|([,=|])|([^\s",=|]+)|(\S))', re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r"}
_CLAUSE_WORDS = ("by process", "until", "because", "owned by", "logged", *(f"{word} ok" for word in ACCEPTS))
_SAME_AS = {"permit": "allow", "accept": "allow", "block": "deny", "drop": "deny", "reject": "deny", "forbid": "never allow"}
_EVERYONE = frozenset({"any", "anyone", "everyone", "everything", "*", "all", "world", "0.0.0.0/0", "::/0"})
EVERYONE_HINT = "for everyone write `all workloads` or `anywhere`"


class _Token:
    """One token; `sign` is `,`, `=` or `|`, `quoted` a text that stood in quotes."""

    __slots__ = ("at", "quoted", "sign", "text")

    def __init__(self, text: str, at: int, *, sign: bool = False, quoted: bool = False) -> None:
        self.text, self.at, self.sign, self.quoted = text, at, sign, quoted


def parse_rule(piece: Piece, findings: list[Finding]) -> RuleTree | None:
    """Return the rule that a sentence says; None, with one more finding, when it is none."""
    try:
        parser = _Parser(piece)
        found = parser.rule()
        parser.end()
    except PolicyError as error:
        findings.extend(error.findings)
        return None
    return found


def parse_test(piece: Piece, findings: list[Finding]) -> TestTree | None:
    """Return the test that a sentence says; None, with one more finding, when it is none."""
    try:
        parser = _Parser(piece)
        found = parser.test()
        parser.end()
    except PolicyError as error:
        findings.extend(error.findings)
        return None
    return found


def parse_whos(piece: Piece, findings: list[Finding], side: str) -> tuple[WhoTree, ...]:
    """Return a list of WHO as it stands in `from` or `to`, empty with one more finding; `side` is source or destination."""
    try:
        parser = _Parser(piece)
        found = parser.whos(side)
        parser.end()
    except PolicyError as error:
        findings.extend(error.findings)
        return ()
    return found


def parse_services(piece: Piece, findings: list[Finding]) -> tuple[Word, ...]:
    """Return a list of WHAT as it stands in `services`, empty with one more finding."""
    try:
        parser = _Parser(piece)
        found = parser.whats()
        parser.end()
    except PolicyError as error:
        findings.extend(error.findings)
        return ()
    return found


def parse_scope(piece: Piece, findings: list[Finding]) -> tuple[Term, ...] | None:
    """Return the terms of a scope, none for `all`; None, with one more finding, when it is no scope."""
    try:
        parser = _Parser(piece)
        found = parser.scope()
        parser.end()
    except PolicyError as error:
        findings.extend(error.findings)
        return None
    return found


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    return re.sub(r"\\(.)", lambda match: _ESCAPED.get(match[1], match[1]), text, flags=re.DOTALL)


class _Parser:
    """The state of one descent: tokens and how far it got."""

    def __init__(self, piece: Piece) -> None:
        self.piece = piece
        self.tokens: list[_Token] = []
        self.next = 0
        self._tokenize()

    def _tokenize(self) -> None:
        for match in _TOKEN.finditer(self.piece.text):
            quoted, sign, word, other = match.groups()
            if word is not None:
                self.tokens.append(_Token(word, match.start(3)))
            elif sign is not None:
                self.tokens.append(_Token(sign, match.start(2), sign=True))
            elif quoted is not None:
                self.tokens.append(_Token(_unescaped(quoted[1:-1]), match.start(1), quoted=True))
            elif other == '"':
                raise self.wrong_at(match.start(4), "UNCLOSED-QUOTE", "a quote that is never closed")

    @property
    def token(self) -> _Token | None:
        """The token that comes next, None at the end."""
        return self.tokens[self.next] if self.next < len(self.tokens) else None

    def peek(self) -> str:
        """Return the next word, empty at the end and before anything that is no word."""
        token = self.token
        return "" if token is None or token.sign or token.quoted else token.text

    def sign(self, text: str) -> bool:
        """Take the next token if it is this sign."""
        token = self.token
        if token is None or not token.sign or token.text != text:
            return False
        self.next += 1
        return True

    def take(self) -> Word:
        """Take the next token as a word."""
        token = self.tokens[self.next]
        self.next += 1
        return Word(token.text, self.piece, token.at)

    def maybe(self, *words: str) -> Word | None:
        """Take the next word if it is one of these."""
        return self.take() if self.peek() in words else None

    def expect(self, *words: str) -> Word:
        """Take the next word, which must be one of these."""
        found = self.maybe(*words)
        if found is None:
            wanted = " or ".join(f"'{word}'" for word in words)
            raise self.wrong("UNEXPECTED", f"expected {wanted}, found {self.shown()}", did_you_mean(self.peek(), words))
        return found

    def shown(self) -> str:
        """Return the next token for a message."""
        return "the end" if self.token is None else f"'{self.token.text}'"

    def wrong(self, code: str, message: str, hint: str = "") -> PolicyError:
        """Return a finding at the next token, or at the end of the text, ready to be raised."""
        at = self.token.at if self.token is not None else max(len(self.piece.text.rstrip()) - 1, 0)
        return self.wrong_at(at, code, message, hint)

    def wrong_at(self, at: int, code: str, message: str, hint: str = "") -> PolicyError:
        """Return a finding at an offset, ready to be raised."""
        return PolicyError([Finding(self.piece.place(at), code, message, hint)])

    def end(self) -> None:
        """Refuse anything that is left."""
        if self.token is not None:
            raise self.wrong("UNEXPECTED", f"expected the end, found {self.shown()}")

    def scope(self) -> tuple[Term, ...]:
        """Scope = "all" | term {term}; `all` has no term."""
        if self.peek() == "all":
            self.take()
            self.maybe("workloads")
            return ()
        terms = self.terms("scope")
        if self.token is not None and self.token.sign:
            raise self.wrong("UNEXPECTED", f"'{self.token.text}' in a scope", "several scopes are a list: one item each")
        return terms

    # --- sentences

    def rule(self) -> RuleTree:
        """rule = action who "to" ["reach"] who "on" what {clause}."""
        action = self.action()
        sources = self.whos("source")
        self.expect("to")
        self.maybe("reach")
        destinations = self.whos("destination")
        self.expect("on")
        return RuleTree(action, sources, destinations, self.whats(), self.clauses())

    def action(self) -> Action:
        """action = "allow" | "deny" | "never" "allow"."""
        word = self.peek()
        if self.maybe("never"):
            self.expect("allow")
            return Action.NEVER
        if self.maybe("allow", "deny"):
            return Action(word)
        same = _SAME_AS.get(word.lower())
        hint = f"did you mean '{same}'" if same else did_you_mean(word, ("allow", "deny", "never"))
        raise self.wrong("BAD-ACTION", f"a rule starts with allow, deny or never allow, found {self.shown()}", hint)

    def test(self) -> TestTree:
        """test = who ("can" | "cannot") "reach" who "on" what | "only" who "may" "reach" who "on" what."""
        if self.maybe("only"):
            expectation = Expectation.ONLY
            sources = self.whos("source")
            self.expect("may")
        else:
            sources = self.whos("source")
            verb = self.expect("can", "cannot")
            expectation = Expectation.CAN if verb.text == "can" else Expectation.CANNOT
            if self.peek() == "not":
                raise self.wrong("UNEXPECTED", "'can not' is two words", "did you mean 'cannot'")
        self.expect("reach")
        destinations = self.whos("destination")
        self.expect("on")
        return TestTree(expectation, sources, destinations, self.whats())

    # --- who

    def whos(self, side: str) -> tuple[WhoTree, ...]:
        """Who {"," who}."""
        found = [self.who(side)]
        while self.sign(","):
            found.append(self.who(side))
        return tuple(found)

    def who(self, side: str) -> WhoTree:
        """Who = ["outside"] base ["except" base]."""
        outside = self.maybe("outside")
        base = self.base(side)
        excluded = self.base("exception") if self.maybe("except") else None
        if excluded is not None and self.peek() == "except":
            raise self.wrong("CLAUSE-TWICE", "a second 'except'", "one exception each: label values join with '|', addresses in one iplist")
        return WhoTree(base, excluded, outside)

    def base(self, side: str) -> BaseTree:
        """Base = plain | "workload" name | "iplist" name | term {term}."""
        word = self.peek()
        if word in ("workload", "iplist"):
            self.take()
            return NamedBase(word == "iplist", self.name(word))
        if word in ("all", "unlabeled") and self._after() == "workloads":
            first = self.take()
            self.take()
            return PlainBase(Plain.ALL if word == "all" else Plain.UNLABELED, first)
        if word in ("anywhere", "strangers", "internet"):
            return PlainBase(Plain(word), self.take())
        return LabelsBase(self.terms(side))

    def _after(self) -> str:
        """Return the word after the next."""
        token = self.tokens[self.next + 1] if self.next + 1 < len(self.tokens) else None
        return "" if token is None or token.sign or token.quoted else token.text

    def name(self, what: str) -> Word:
        """Return the name after `workload` or `iplist`; words of the grammar need quotes there."""
        token = self.token
        if token is None or token.sign or (not token.quoted and token.text in GRAMMAR_WORDS):
            raise self.wrong("MISSING-NAME", f"'{what}' needs a name, found {self.shown()}", "quote a name that is a word of the grammar")
        if not token.text:
            raise self.wrong("MISSING-NAME", f"'{what}' needs a name, found nothing between the quotes")
        return self.take()

    def terms(self, side: str) -> tuple[Term, ...]:
        """Term {term}, up to a word of the grammar."""
        terms: list[Term] = []
        while (word := self.peek()) and word not in STOP_WORDS:
            if word in GRAMMAR_WORDS or word in _EVERYONE:
                break
            terms.append(self.term())
        if not terms:
            raise self._no_who(side)
        return tuple(terms)

    def _no_who(self, side: str) -> PolicyError:
        word = self.peek()
        if word in _EVERYONE:
            return self.wrong("UNKNOWN-WORD", f"'{word}' is no {side}", EVERYONE_HINT)
        if self.token is None or word in STOP_WORDS or self.token.sign:
            hint = EVERYONE_HINT if side in ("source", "destination") else "want labels, e.g. role=web env=prod"
            return self.wrong("EMPTY-WHO", f"no {side}", hint)
        hint = "`outside` stands before a source" if word == "outside" else "want labels, e.g. role=web env=prod"
        return self.wrong("UNEXPECTED", f"expected a {side}, found {self.shown()}", hint)

    def term(self) -> Term:
        """Term = [key "="] value {"|" value}."""
        first = self.take()
        if self.sign("="):
            return Term(first, self.alternatives(self.value(first)))
        return Term(None, self.alternatives(first))

    def alternatives(self, first: Word) -> tuple[Word, ...]:
        """Return the first value and those after `|`."""
        values = [first]
        while self.sign("|"):
            values.append(self.value(None))
        return tuple(values)

    def value(self, key: Word | None) -> Word:
        """Return one label value."""
        if not self.peek() or self.peek() in STOP_WORDS:
            before = f"'{key.text}='" if key is not None else "'|'"
            raise self.wrong("MISSING-VALUE", f"{before} needs a value, found {self.shown()}")
        return self.take()

    # --- what

    def whats(self) -> tuple[Word, ...]:
        """What {"," what}."""
        found = [self.what()]
        while self.sign(","):
            found.append(self.what())
        return tuple(found)

    def what(self) -> Word:
        """What = "any" "service" | word."""
        word = self.peek()
        if word == "any":
            first = self.take()
            if self.maybe("service") is None:
                raise self.wrong(
                    "UNEXPECTED", f"expected 'service' after 'any', found {self.shown()}", "for everything write `any service`"
                )
            return first.renamed(ANY)
        if not word or word in STOP_WORDS:
            raise self.wrong("EMPTY-WHAT", f"no service, found {self.shown()}", "for everything write `any service`")
        found = self.take()
        if self.peek() == "ok" or self._glued():
            raise self.wrong("BAD-PORT", f"'{found.text}' goes on with {self.shown()}", "want PROTO/N or PROTO/N-M without blanks")
        return found

    def _glued(self) -> bool:
        """Tell whether the next word looks like the rest of a port range written with blanks."""
        word = self.peek()
        return bool(word) and (is_number(word) or word[0] in "-:/")

    # --- clauses

    def clauses(self) -> Clauses:
        """Every clause once, in any order."""
        clauses = NO_CLAUSES
        seen: set[str] = set()
        while self.token is not None:
            at = self.token.at
            before, name = clauses, self.peek()
            clauses = self.clause(clauses)
            if name in seen:
                raise self.wrong_at(at, "CLAUSE-TWICE", f"'{name}' stands twice", "every clause once")
            seen.add(name)
            assert clauses is not before
        return clauses

    def clause(self, clauses: Clauses) -> Clauses:
        """One clause added to those before it."""
        word = self.peek()
        match word:
            case "by":
                self.take()
                self.expect("process")
                return replace(clauses, process=self.text("by process", "a path"))
            case "until":
                self.take()
                return replace(clauses, until=self.text("until", "a UTC time, e.g. 2027-03-31T00:00:00Z"))
            case "because":
                self.take()
                return replace(clauses, because=self.reason())
            case "owned":
                self.take()
                self.expect("by")
                return replace(clauses, owner=self.text("owned by", "a name"))
            case "logged":
                self.take()
                return replace(clauses, logged=True)
        if word in ACCEPTS:
            self.take()
            self.expect("ok")
            accepted = {*clauses.accept, ACCEPTS[word]}
            return replace(clauses, accept=tuple(accept for accept in ACCEPTS.values() if accept in accepted))
        hint = did_you_mean(word, [part.split()[0] for part in _CLAUSE_WORDS], f"want {listed(_CLAUSE_WORDS, 12)}")
        raise self.wrong("UNKNOWN-WORD", f"expected a clause or the end, found {self.shown()}", hint)

    def text(self, clause: str, want: str) -> Word:
        """Return the word or quoted text of a clause."""
        token = self.token
        if token is None or token.sign or not token.text:
            raise self.wrong("MISSING-VALUE", f"'{clause}' needs {want}, found {self.shown()}")
        return self.take()

    def reason(self) -> Word:
        """Return the text of `because`, which is always quoted."""
        token = self.token
        if token is None or not token.quoted:
            raise self.wrong("MISSING-VALUE", f"'because' needs a text in double quotes, found {self.shown()}", 'e.g. because "CHG-1042"')
        return self.take()


# --- the canonical text


def rule_text(tree: RuleTree) -> str:
    """Return the canonical sentence; parsing it gives the same tree."""
    ends = f"{tree.action.value} {whos_text(tree.sources)} to {whos_text(tree.destinations)}"
    return f"{ends} on {services_text(tree.services)}{clauses_text(tree.clauses)}"


def text_of_test(tree: TestTree) -> str:
    """Return the canonical sentence of a test; parsing it gives the same tree."""
    sources, rest = whos_text(tree.sources), f"{whos_text(tree.destinations)} on {services_text(tree.services)}"
    if tree.expectation is Expectation.ONLY:
        return f"only {sources} may reach {rest}"
    return f"{sources} {tree.expectation.value} {rest}"


def whos_text(whos: Iterable[WhoTree]) -> str:
    """Return a list of WHO."""
    return ", ".join(map(_who_text, whos))


def services_text(services: Iterable[Word]) -> str:
    """Return a list of WHAT."""
    return ", ".join(word.text for word in services)


def clauses_text(clauses: Clauses) -> str:
    """Return the clauses in the order of the grammar, each with a blank before it."""
    parts: list[str] = []
    if clauses.process is not None:
        parts.append(f"by process {_word_text(clauses.process.text)}")
    if clauses.until is not None:
        parts.append(f"until {_word_text(clauses.until.text)}")
    if clauses.because is not None:
        parts.append(f"because {_quoted(clauses.because.text)}")
    if clauses.owner is not None:
        parts.append(f"owned by {_word_text(clauses.owner.text)}")
    if clauses.logged:
        parts.append("logged")
    parts.extend(f"{accept.value} ok" for accept in clauses.accept)
    return "".join(f" {part}" for part in parts)


def terms_text(terms: Iterable[Term]) -> str:
    """Return labels, e.g. `role=web|app env=prod`."""
    return " ".join((f"{term.key.text}=" if term.key else "") + "|".join(word.text for word in term.values) for term in terms)


def _who_text(who: WhoTree) -> str:
    outside = "outside " if who.outside is not None else ""
    excluded = f" except {_base_text(who.excluded)}" if who.excluded is not None else ""
    return f"{outside}{_base_text(who.base)}{excluded}"


def _base_text(base: BaseTree) -> str:
    match base:
        case PlainBase(kind):
            return kind.value
        case NamedBase(iplist, name):
            return f"{'iplist' if iplist else 'workload'} {_word_text(name.text)}"
        case LabelsBase(terms):
            return terms_text(terms)


def _word_text(text: str) -> str:
    match = _TOKEN.fullmatch(text)
    plain = match is not None and match[3] == text and text not in GRAMMAR_WORDS
    return text if plain else _quoted(text)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
    return f'"{escaped}"'


assert BASE_WORDS <= GRAMMAR_WORDS
