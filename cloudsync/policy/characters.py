"""Characters that must not be in an input file, and where they are: no UTF-8, control and invisible characters, lookalikes."""

from __future__ import annotations

import re

from cloudsync.model.finding import Finding, Where

LOST = "\N{REPLACEMENT CHARACTER}"
"""Stands for a refused character while the rest of the file is still looked at: same length, so that columns hold."""

# Patterns are compiled when the first text needs them: a clean ASCII file needs none, and compiling costs more than reading it.
_CONTROL = "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]"
_PLAIN = bytes({*range(0x20, 0x7F), *b"\t\n\r"})
# Zero width, bidirectional controls, fillers, tag characters, variation selectors, blanks that are not U+0020, line breaks that no
# editor shows (Unicode: Default_Ignorable_Code_Point and White_Space). U+FFFD says that some program lost a character before us.
_INVISIBLE = (
    "[\u00a0\u00ad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffd\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_MARKER = r"(?m)^(?:<{7}|>{7}|\|{7})(?: .*)?$"
_INDENT_TAB = r"(?m)^( *)\t[ \t]*(?=[^\s#])"
_SENTENCE = r"(?:allow|deny|never|only)\s|\S.*\s(?:can|cannot|may) reach\s|\S*=.*\s"
_SMALL = dict(zip("асеорухіјѕԁһӏкмтвнгԛԝԍυνοαρκιτχγ", "aceopyxijsdhlkmtbhrqwguvoapkitxy", strict=True))
_LOOKALIKES = _SMALL | {letter.upper(): latin.upper() for letter, latin in _SMALL.items()}
"""Cyrillic and Greek letters that look like Latin ones (Unicode UTS 39, the part that fonts draw alike)."""


class Text:
    """The text of a file and where its lines are. Line breaks are U+000A only: `decode` has made them so."""

    __slots__ = ("_starts", "file", "raw")

    def __init__(self, raw: str, file: str = "") -> None:
        self.raw, self.file = raw, file
        self._starts: list[int] | None = None

    def _lines(self) -> list[int]:
        if self._starts is None:
            self._starts = [0, *(match.end() for match in re.finditer("\n", self.raw))]
        return self._starts

    def line(self, number: int) -> str:
        """Return a line, counted from 1, without its break; empty beyond the end."""
        starts = self._lines()
        if not 1 <= number <= len(starts):
            return ""
        start = starts[number - 1]
        return self.raw[start:].split("\n", 1)[0] if number == len(starts) else self.raw[start : starts[number] - 1]

    def where(self, file: str, offset: int) -> Where:
        """Return the place of a character."""
        return _where(file, self.raw, offset)

    def offset(self, where: Where) -> int:
        """Return the offset of a place."""
        starts = self._lines()
        return starts[min(where.line, len(starts)) - 1] + where.col - 1

    def is_last_line(self, number: int) -> bool:
        """Tell whether only blank space follows this line."""
        starts = self._lines()
        return number >= len(starts) or not self.raw[starts[number] :].strip()


def decode(file: str, content: bytes) -> tuple[str | None, tuple[Finding, ...]]:
    """Return the text with plain line breaks, and a finding for every character that must not be there; None when it is no UTF-8.

    A byte order mark at the very start is dropped: spreadsheet programs and some editors write one.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8")
        where = _where(file, before, len(before))
        return None, (Finding(where, "NOT-UTF8", f"byte 0x{content[error.start]:02x} is no UTF-8", "save the file as UTF-8"),)
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    return text, tuple(_refused(file, text))


def _harmless(text: str) -> bool:
    """Tell whether a text is printable ASCII and line breaks only, as nearly every file is."""
    return text.isascii() and not text.encode().translate(None, _PLAIN)


def _refused(file: str, text: str) -> list[Finding]:
    if _harmless(text):
        return []
    findings = [
        Finding(_where(file, text, match.start()), "CONTROL-CHAR", _code_point(match[0]), "take it out") for match in _first(_CONTROL, text)
    ]
    if not text.isascii():
        findings += [
            Finding(
                _where(file, text, match.start()),
                "INVISIBLE-CHAR",
                f"{_code_point(match[0])} in {_around(text, match.start())}",
                "take it out",
            )
            for match in _first(_INVISIBLE, text)
        ]
    return findings


def _first(pattern: str, text: str, most: int = 50) -> list[re.Match[str]]:
    found = []
    for match in re.finditer(pattern, text):
        found.append(match)
        if len(found) == most:
            break
    return found


def parseable(text: str) -> str:
    """Return the text with refused characters replaced one for one, so that the parser reads on and columns stay true."""
    if _harmless(text):
        return text
    text = re.sub(_CONTROL, LOST, text)
    return text if text.isascii() else re.sub(_INVISIBLE, LOST, text)


def merge_markers(file: str, text: str) -> list[Finding]:
    """Return a finding for each conflict that a merge left behind (its opening marker, or whatever marker is left of it)."""
    if "<<<<<<<" not in text and ">>>>>>>" not in text and "|||||||" not in text:
        return []
    found = _first(_MARKER, text)
    shown = [match for match in found if match[0].startswith("<")] or found
    return [Finding(_where(file, text, match.start()), "MERGE-MARKER", "unresolved merge conflict", "resolve it") for match in shown]


def indentation_tabs(file: str, text: str) -> list[Finding]:
    """Return a finding for every line that is indented with a tab."""
    if "\t" not in text:
        return []
    return [
        Finding(_where(file, text, match.end(1)), "TAB", f"tab at column {len(match[1]) + 1}", "indent with blanks")
        for match in _first(_INDENT_TAB, text)
    ]


def escaped(where: Where, text: str) -> tuple[list[Finding], str]:
    """Report refused characters that came in through an escape of a quoted text; return the text without any refused character."""
    findings = [Finding(where, "CONTROL-CHAR", _code_point(match[0]), "take it out") for match in _first(_CONTROL, text, 3)]
    findings += [
        Finding(where, "INVISIBLE-CHAR", f"{_code_point(match[0])} in {_around(text, match.start())}", "take it out")
        for match in _first(_INVISIBLE, text, 3)
        if match[0] != LOST
    ]
    return findings, re.sub(_INVISIBLE, "", re.sub(_CONTROL, "", text))


def mixed_script(source: Text, start: int, text: str, where: Where) -> tuple[list[Finding], str]:
    """Report words that mix Latin letters with lookalikes of another script; return the text as it was probably meant.

    `start` is where the text begins in the file, so that the very letter is pointed at even in a text of several lines.
    """
    if text.isascii():
        return [], text
    findings = []
    meant = text
    for match in re.finditer(r"\w+", text):
        word = match[0]
        strange = [letter for letter in word if not letter.isascii() and _latin(letter) != letter]
        if not strange or not re.search("[A-Za-z]", word):
            continue
        probably = "".join(map(_latin, word))
        offset = source.raw.find(word, start)
        at = source.where(where.file, offset + word.index(strange[0])) if offset >= 0 else where
        findings.append(Finding(at, "MIXED-SCRIPT", f"{_code_point(strange[0])} in '{shown(word)}'", f"did you mean '{probably}'"))
        meant = meant.replace(word, probably)
    return findings, meant


def _latin(letter: str) -> str:
    """Return the ASCII letter that a letter looks like, or the letter itself."""
    if letter.isascii():
        return letter
    import unicodedata

    plain = _LOOKALIKES.get(letter) or unicodedata.normalize("NFKC", letter)
    return plain if plain.isascii() else letter


def like_a_sentence(text: str) -> bool:
    """Tell whether an unquoted key is really the beginning of a policy sentence."""
    return " " in text and (re.match(_SENTENCE, text) is not None or text.count('"') % 2 == 1)


def shown(text: str, most: int = 60) -> str:
    """Return a text from an input so that it can be printed in one line: what is not plain is written as its code point."""
    cut = text if len(text) <= most else text[:most] + "..."
    if cut.isascii() and cut.isprintable():
        return cut
    return "".join(
        letter if letter.isprintable() and (letter.isascii() or letter.isalpha()) else f"<{_code_point(letter)}>" for letter in cut
    )


def _around(text: str, offset: int) -> str:
    """Return the word around an invisible character, made visible."""
    first = last = offset
    while first > 0 and offset - first < 30 and (text[first - 1].isalnum() or text[first - 1] in "_.-"):
        first -= 1
    while last + 1 < len(text) and last - offset < 30 and (text[last + 1].isalnum() or text[last + 1] in "_.-"):
        last += 1
    return f"'{shown(text[first : last + 1])}'"


def _code_point(letter: str) -> str:
    return f"U+{ord(letter):04X}"


def _where(file: str, text: str, offset: int) -> Where:
    last_break = text.rfind("\n", 0, offset)
    return Where(file, text.count("\n", 0, offset) + 1, offset - last_break)
