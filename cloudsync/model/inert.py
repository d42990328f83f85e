"""Text from outside made inert: control, bidirectional and invisible characters are written as escapes (CWE-150)."""

from __future__ import annotations

_HIDDEN = frozenset(
    {0xAD, 0x61C, 0x180E, 0xFEFF, *range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2060, 0x2070), *range(0xFFF9, 0xFFFC)}
)
_TAGS = range(0xE0000, 0xE0080)


def _harmful(char: str) -> bool:
    point = ord(char)
    return point < 0x20 or 0x7F <= point < 0xA0 or point in _HIDDEN or point in _TAGS or 0xD800 <= point < 0xE000


def inert(text: str, *, keep: str = "") -> str:
    """Return `text` with every character that could move a cursor, reorder or hide text written as an escape; `keep` stays."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if char in keep or not _harmful(char) else _escape(char) for char in text)


def _escape(char: str) -> str:
    point = ord(char)
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"
