"""A table as JSON values for plan files, and the digest of a read."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from cloudsync.adapter import Discovery
from cloudsync_azure.parse import canonical
from cloudsync_azure.payload import rule_json
from cloudsync_azure.table import AzureTable, Nsg


def dump(table: AzureTable) -> dict[str, Any]:
    """Return everything in a table as JSON values, in one fixed order."""
    return {
        "owner": table.owner,
        "scope": table.scope,
        "incomplete": table.incomplete,
        "nsgs": [_nsg(nsg) for _, nsg in sorted(table.nsgs.items())],
        "interfaces": [
            {
                "id": nic.id,
                "point": nic.point,
                "holder": nic.holder,
                "vnet": nic.vnet,
                "subnets": list(nic.subnets),
                "nsg": nic.nsg,
                "asgs": list(nic.asgs),
                "private": list(nic.private.cidrs()),
                "public": list(nic.public.cidrs()),
                "skipped": nic.skipped,
            }
            for _, nic in sorted(table.nics.items())
        ],
        "subnets": [[one.id, one.vnet, list(one.prefixes.cidrs()), one.nsg, one.strangers] for _, one in sorted(table.subnets.items())],
        "asgs": [[one.id, one.location, one.owner] for _, one in sorted(table.asgs.items())],
        "spaces": [[vnet, list(space.cidrs())] for vnet, space in sorted(table.spaces.items())],
    }


def _nsg(nsg: Nsg) -> dict[str, Any]:
    rules = [rule_json(rule) if rule.ours else json.loads(rule.raw) for rule in nsg.rules]
    return {"id": nsg.id, "location": nsg.location, "managed": nsg.managed, "flush": nsg.flush, "rules": rules}


def digest(table: AzureTable, discovery: Discovery) -> str:
    """Return the SHA-256 of everything that was read: equal digests, equal readings, in whatever process they were made."""
    state = hashlib.sha256(canonical(dump(table)).encode())
    state.update(repr(discovery).encode("utf-8", "surrogatepass"))
    return state.hexdigest()
