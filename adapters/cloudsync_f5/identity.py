"""Who answers: every device by the name it gives itself, and the group they are in."""

from __future__ import annotations

from cloudsync.adapter import Identity
from cloudsync_f5 import payload as wire
from cloudsync_f5.client import CallFailedError
from cloudsync_f5.read import GROUP, Group, kind


def identity(group: Group) -> Identity:
    """Return who answers. A device by another name, or outside the group of the settings, is another account. Raises AdapterError."""
    settings = group.settings
    units, failures = group.units(selves=False)
    if not units:
        raise failures[0]
    principal = f"{settings.credentials[0]} on {', '.join(unit.name for unit in units)}"
    strange = [unit for unit in units if unit.name != unit.host]
    if strange:
        return Identity("f5", strange[0].name, principal)
    if not settings.device_group:
        return Identity("f5", settings.account, principal)
    device = group.device(units[0].host)
    groups = [str(one.get("name")) for one in device.collection(GROUP, kind(GROUP))]
    if settings.device_group not in groups:
        return Identity("f5", ", ".join(sorted(groups)) or "no device group", principal)
    path = f"{GROUP}/{wire.tilded('/Common/' + settings.device_group)}/devices"
    members = {str(one.get("name")).rpartition("/")[2] for one in device.collection(path, kind(f"{GROUP}/devices"))}
    outside = [unit.name for unit in units if unit.name not in members]
    return Identity("f5", f"{outside[0]}, which is not in {settings.device_group}" if outside else settings.account, principal)


__all__ = ["CallFailedError", "identity"]
