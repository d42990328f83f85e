"""The vendor's own prefix lists, taken over from moto's seed."""

from __future__ import annotations

from .book import Book, Entry, PrefixList


def adopt(book: Book) -> None:
    """Bring the vendor-managed lists of a region into the book; they have no MaxEntries and no version."""
    for found in list(book.backend.managed_prefix_lists.values()):
        entries = tuple(Entry(each["Cidr"], each.get("Description")) for each in next(iter(found.entries.values()), []))
        book.lists[found.id] = PrefixList(
            found.id, found.prefix_list_name, found.address_family, None, "AWS", {1: entries}, state="create-complete"
        )
