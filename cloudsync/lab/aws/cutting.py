"""Cut the items of a list out of an answer that moto rendered."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

_NAMESPACE = re.compile(r'\sxmlns="[^"]*"')


def members(document: str, set_name: str) -> list[tuple[str, str]]:
    """Return (identity, XML) of every item of the named set. The document is moto's own, so it is trusted."""
    root = ET.fromstring(_NAMESPACE.sub("", document))  # noqa: S314  # nosec B314 - made in this process by moto, not by a client
    found = root.find(set_name)
    if found is None:
        return []
    out = []
    for number, item in enumerate(found):
        head = next((child.text for child in item if child.text and child.tag.endswith("Id")), None)
        out.append((head or str(number), ET.tostring(item, encoding="unicode")))
    return out
