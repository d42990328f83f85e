"""The vendors of a lab beside AWS, and its mail server: each on ports of its own, all ended with the lab."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .kit.faults import Json
from .kit.site import Site

NAMES = ("azure", "f5", "gcp", "smtp")
BUNDLE = "ca-bundle.pem"
"""The authorities of all vendors together, for clients that take one file."""
ESTATES: Mapping[str, str] = {
    "empty": "nothing but what a new account has",
    "small": "40 instances in AWS alone, with groups as years of hurry leave them",
    "four": "about a dozen workloads on each of the four platforms, with flows that cross between them",
    "medium": "about 400 workloads over all four platforms, with legacy rules",
}


def made(folder: Path) -> dict[str, Site]:
    """Make every vendor; certificates and keys for clients go into `folder`."""
    from .azure.site import Site as AzureSite
    from .f5.site import Site as F5Site
    from .gcp.site import Site as GcpSite
    from .smtp import Site as MailSite

    return {
        "azure": AzureSite(folder / "azure"),
        "f5": F5Site(folder / "f5"),
        "gcp": GcpSite(folder / "gcp"),
        "smtp": MailSite(folder / "smtp"),
    }


@dataclass(slots=True)
class Sites:
    """All vendors of one lab beside AWS."""

    folder: Path
    sites: Mapping[str, Site]

    def start(self, estate: str, seed: int) -> None:
        """Open every server and build the estate."""
        for site in self.sites.values():
            site.start()
            site.reset(estate, seed)
        bundle = self.folder / BUNDLE
        bundle.write_bytes(b"".join(found.read_bytes() for found in sorted(self.folder.glob("*/ca.pem"))))

    def reset(self, estate: str, seed: int) -> None:
        """Empty every world and build the estate again."""
        for site in self.sites.values():
            site.reset(estate, seed)

    def stop(self) -> None:
        """Close every server; certificates and keys go with the lab that they are of."""
        for name, site in self.sites.items():
            site.stop()
            shutil.rmtree(self.folder / name, ignore_errors=True)
        (self.folder / BUNDLE).unlink(missing_ok=True)

    def sections(self) -> dict[str, Json]:
        """Return what lab.json says of each."""
        return {name: site.section() for name, site in self.sites.items()}

    def ask(self, name: str, verb: str, given: Json) -> Json:
        """Answer a control request to one vendor. KeyError for a vendor or verb that there is not."""
        return self.sites[name].ask(verb, given)
