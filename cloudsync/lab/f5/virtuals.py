"""Virtual servers: what the device fills in, which of two shuts the other out, and the virtual addresses they make."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address, ip_network

from . import static, words
from .config import Config, Object
from .refusal import DeviceError, bad_property
from .schema import VIRTUAL, VIRTUAL_ADDRESS
from .values import mask_of


def complete(draft: Config, path: str, generation: Callable[[], int]) -> None:
    """Fill in mask, source and state; refuse a twin; make the virtual address."""
    held = draft.objects[VIRTUAL]
    found = dict(held[path])
    listens = words.destination(found["destination"])
    six = listens.address.version == 6
    found.setdefault("mask", mask_of(found["destination"]))
    found.setdefault("source", "::/0" if six else "0.0.0.0/0")
    if "disabled" not in found:
        found["enabled"] = True
    if "vlansEnabled" not in found:
        found["vlansDisabled"] = True
    found.setdefault("sourceAddressTranslation", {"type": "none"})
    found.setdefault("vsIndex", 1 + max((each.get("vsIndex", 1) for at, each in held.items() if at != path), default=1))
    found["profiles"] = static.read_profiles(found.get("profiles") or ["fastL4"])
    static.check_profiles(path, found["profiles"])
    held[path] = found
    try:
        span(found)
        words.entry(found["source"], "refuse")
    except ValueError:
        raise bad_property("mask", found["mask"]) from None
    for at, other in sorted(held.items()):
        if at != path and _listens(other) == _listens(found):
            raise DeviceError(
                400,
                f"01070333:3: The Virtual Server {path} illegally shares destination address, source address, service port, "
                f"ip-protocol, and vlan with Virtual Server {at}.",
            )
    _make_address(draft, found, listens, generation)


def _listens(found: Object) -> tuple[object, ...]:
    keys = ("mask", "source", "ipProtocol", "vlansEnabled")
    where = words.destination(found["destination"])
    return (where, *(found.get(key) for key in keys), tuple(sorted(found.get("vlans", ()))))


def span(found: Object) -> words.Span:
    """The addresses a virtual server listens on."""
    return _span(found["destination"], found["mask"])


@lru_cache(maxsize=8192)
def _span(destination: str, mask: str) -> words.Span:
    where = words.destination(destination)
    if mask in ("any", "any6"):
        mask = words.EVERY_ADDRESS[4 if mask == "any" else 6]
    length = int(ip_address(mask)).bit_count()
    network = ip_network((int(where.address) if where.address.version == 6 else str(where.address), length), strict=False)
    return words.Span(where.address.version, int(network.network_address), int(network.broadcast_address), where.domain)


def _make_address(draft: Config, found: Object, listens: words.Destination, generation: Callable[[], int]) -> None:
    head = found["destination"].rpartition("/")[0]
    path = f"{head}/{listens.host}"
    if path not in draft.objects[VIRTUAL_ADDRESS]:
        draft.objects[VIRTUAL_ADDRESS][path] = {
            "name": listens.host,
            "partition": head.split("/")[1],
            "address": listens.host,
            "mask": found["mask"],
            "autoDelete": "true",
            "generation": generation(),
        }


def forget_addresses(draft: Config) -> None:
    """Take away virtual addresses that were made for a virtual server and serve none any more."""
    wanted = {
        f"{each['destination'].rpartition('/')[0]}/{words.destination(each['destination']).host}"
        for each in draft.objects[VIRTUAL].values()
    }
    held = draft.objects[VIRTUAL_ADDRESS]
    for path in [path for path, each in held.items() if each.get("autoDelete") == "true" and path not in wanted]:
        del held[path]
