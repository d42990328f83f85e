"""Which adapter a target names, and where it is: looked up by that one name, imported only when it is opened, never scanned for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from cloudsync.model.errors import SettingsError
from cloudsync.model.finding import Finding, Where
from cloudsync.policy.characters import shown
from cloudsync.policy.words import did_you_mean, is_name

if TYPE_CHECKING:
    # The protocol's many types cost more than all else here, and looking an adapter up needs none of them.
    from cloudsync.adapter import AdapterFactory

SHIPPED = ("aws", "azure", "f5", "gcp")
GROUP = "cloudsync.adapters"
SCHEMA = "settings.schema.json"


def options_schema(adapter: str) -> Mapping[str, Any] | Finding:
    """Return the JSON Schema of an adapter's own target keys, or a finding without a place. No code of the adapter is run."""
    folder = _folder(adapter)
    if folder is None:
        return _unknown(adapter)
    try:
        found: dict[str, Any] = json.loads((Path(folder) / SCHEMA).read_bytes())
    except (OSError, ValueError) as error:
        hint = "the installed package is incomplete; install it again"
        return Finding(Where("cloudsync.yaml"), "BROKEN-ADAPTER", f"adapter '{adapter}' has no readable {SCHEMA}: {error}", hint)
    return found


def load(adapter: str) -> AdapterFactory:
    """Import an adapter by its name and return its factory. Raises SettingsError when there is none."""
    from importlib import import_module

    value = _entry(adapter)
    if value is None:
        raise SettingsError([_unknown(adapter)])
    module, _, attribute = value.partition(":")
    return cast("AdapterFactory", getattr(import_module(module), attribute or "ADAPTER"))


@lru_cache(maxsize=64)
def version(adapter: str) -> str:
    """Return the version of the package that an adapter comes from, for reports; empty where nobody says."""
    if adapter in SHIPPED:
        from cloudsync import __version__

        return __version__
    from importlib.metadata import entry_points

    found = next((point.dist for point in entry_points(group=GROUP, name=adapter)), None)
    return found.version if found is not None else ""


def _unknown(adapter: str) -> Finding:
    hint = did_you_mean(adapter, SHIPPED) or f"an adapter package puts an entry point into the group {GROUP}; shipped: {', '.join(SHIPPED)}"
    if adapter in SHIPPED:
        hint = f"the package cloudsync_{adapter} is not part of this installation"
    return Finding(Where("cloudsync.yaml"), "UNKNOWN-ADAPTER", f"no adapter '{shown(adapter)}' is installed", hint)


def _package(adapter: str) -> str | None:
    """Return the package that goes by our naming rule, without importing it."""
    name = f"cloudsync_{adapter}"
    return name if is_name(adapter) and "." not in adapter and find_spec(name) is not None else None


def _entry(adapter: str) -> str | None:
    """Return `module:attribute` of an adapter; other people's packages are known by their metadata only."""
    package = _package(adapter)
    if package is not None:
        return f"{package}:ADAPTER"
    from importlib.metadata import entry_points

    return next((point.value for point in entry_points(group=GROUP, name=adapter)), None)


def _folder(adapter: str) -> str | None:
    value = _entry(adapter)
    module = value.partition(":")[0].partition(".")[0] if value else ""
    spec = find_spec(module) if module else None
    return next(iter(spec.submodule_search_locations), None) if spec and spec.submodule_search_locations else None
