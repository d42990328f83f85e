"""Names of resources: the link in answers, the path below `projects/`, and the many spellings clients send."""

from __future__ import annotations

import re
from dataclasses import dataclass

PUBLIC = "https://www.googleapis.com/compute/v1/"
"""What links in answers begin with, whatever address the client used."""

_HEAD = re.compile(r"(?:https?://[^/]+)?/?(?:compute/(?:v1|beta|alpha)/)?(?=projects/|global/|regions/|zones/)")
_PATH = re.compile(r"(?:projects/(?P<project>[^/]+)/)?(?P<place>global|regions/[^/]+|zones/[^/]+)/(?P<kind>[A-Za-z]+)/(?P<name>[^/]+)")


@dataclass(frozen=True, slots=True)
class Link:
    """A resource as a client names it."""

    project: str
    place: str
    """global, regions/<name> or zones/<name>."""
    kind: str
    name: str

    @property
    def path(self) -> str:
        """Below the API's root."""
        return f"projects/{self.project}/{self.place}/{self.kind}/{self.name}"

    @property
    def key(self) -> str:
        """Within its project and kind: the name, before it the region or zone if there is one."""
        return self.name if self.place == "global" else f"{self.place.partition('/')[2]}/{self.name}"

    @property
    def url(self) -> str:
        """As answers show it."""
        return PUBLIC + self.path


def read(text: str, project: str) -> Link | None:
    """Read a full URL of any host, a path from `projects/` on, or one within `project`; None when it is none of these."""
    head = _HEAD.match(text)
    found = _PATH.fullmatch(text[head.end() :] if head else text)
    if not found:
        return None
    return Link(found["project"] or project, found["place"], found["kind"], found["name"])


def last(text: str) -> str:
    """Return what stands behind the last slash."""
    return text.rstrip("/").rpartition("/")[2]
