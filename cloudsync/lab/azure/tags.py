"""Service tags: which words they are, and which addresses stand behind those this lab knows.

The vendor publishes the real lists weekly; these few blocks are documentation addresses of our own.
"""

from __future__ import annotations

import re

PROBE = "168.63.129.16"
"""Source of load-balancer probes, and the platform's own address."""

BLOCKS: dict[str, tuple[str, ...]] = {
    "azureloadbalancer": (f"{PROBE}/32",),
    "storage": ("198.18.0.0/20",),
    "sql": ("198.18.16.0/20",),
    "azureactivedirectory": ("198.18.32.0/20",),
    "azuremonitor": ("198.18.48.0/20",),
    "azurekeyvault": ("198.18.64.0/20",),
    "gatewaymanager": ("198.18.80.0/20",),
    "azurecloud": ("198.18.0.0/16",),
}

SPECIAL = ("virtualnetwork", "internet", "azureloadbalancer")
KNOWN = frozenset({
    *SPECIAL, *BLOCKS, "azurefrontdoor", "azurecontainerregistry", "azuredevops", "azureeventhub", "eventhub", "servicebus", "appservice",
    "apimanagement", "azurebackup", "azurebatch", "batchnodemanagement", "azurecosmosdb", "azuredatabricks", "azureresourcemanager",
    "azuretrafficmanager", "corpnetpublic", "corpnetsaw", "datafactory", "hdinsight", "logicapps", "microsoftcontainerregistry",
    "servicefabric", "windowsvirtualdesktop", "azureplatformdns", "azureplatformimds", "azureplatformlkm",
})  # fmt: skip
_REGIONAL = re.compile(r"([A-Za-z]+)(\.[A-Za-z0-9]+)*")


def is_tag(text: str) -> bool:
    """Is it a service tag, perhaps of one region (`Storage.WestEurope`)?"""
    found = _REGIONAL.fullmatch(text)
    return found is not None and found[1].lower() in KNOWN
