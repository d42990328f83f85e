"""What VPC firewall rules can say, how fast, and which right each call needs: data beside the code that uses it.

Permission names: IAM permissions reference of Compute Engine as quoted by users (`networks.updatePolicy` beside `firewalls.create` and
`firewalls.delete`); `doctor` asks Google about each of them.
"""

from __future__ import annotations

from cloudsync.adapter import Capabilities, Method, Permission

CAPABILITIES = Capabilities(
    platform="gcp",
    denies=True,
    egress=True,
    icmp_types=False,
    processes=False,
    rule_logging=True,
    always_open=("the metadata server 169.254.169.254 (with DHCP, DNS and NTP): no firewall rule filters it",),
    methods=(Method.MERGE, Method.SHIELD, Method.MEET),
    in_place=True,
)

PERMISSIONS: tuple[Permission, ...] = (
    Permission("compute.projects.get", "who we are, and the quota of firewall rules"),
    Permission("compute.networks.list", "the networks of the project"),
    Permission("compute.networks.get", "whether policies come before or after the network's rules"),
    Permission("compute.networks.getEffectiveFirewalls", "hierarchical and system policies that decide before our rules"),
    Permission("compute.firewalls.list", "our rules and all others"),
    Permission("compute.firewalls.get", "one rule again, after a write"),
    Permission("compute.instances.list", "workloads, their labels, tags and addresses"),
    Permission("compute.globalOperations.get", "whether a write has ended, and how"),
    Permission("logging.logEntries.list", "optional: who made a rule that a report blames; without it reports do not say"),
    Permission("compute.firewalls.create", "add our rules", write=True),
    Permission("compute.firewalls.delete", "remove our rules", write=True),
    Permission("compute.firewalls.update", "switch foreign rules off and on again (exclusive targets)", write=True),
    Permission("compute.networks.updatePolicy", "every change of a network's rules needs it too", write=True),
    Permission("compute.instances.get", "the fingerprint of a VM's tags (target: managed-tags)", write=True),
    Permission("compute.instances.setTags", "our own tags on VMs (target: managed-tags)", write=True),
    Permission("compute.zoneOperations.get", "whether such a change has ended (target: managed-tags)", write=True),
)

OPTIONAL = frozenset({"logging.logEntries.list"})
"""Without these nothing fails."""

PER_MINUTE = 1500
"""Reads, and writes apart, of one project a minute (compute API rate quotas); windows begin with the minute."""
BURST = 50
"""Calls at once before they are spread over the minute: a modest share of a window that others use too."""

PAGE_SIZE = 500
"""`maxResults` of every list: the most that Google takes."""
PAGES_MAX = 10_000
"""Pages of one read before it counts as endless: five million objects."""

# --- what answers mean -----------------------------------------------------------------------------------------------

THROTTLED = frozenset(
    {
        "rateLimitExceeded",
        "userRateLimitExceeded",
        "RATE_LIMIT_EXCEEDED",
        "CONCURRENT_OPERATIONS_QUOTA_EXCEEDED",
        "resourceNotReady",
        "RESOURCE_NOT_READY",
    }
)
"""Refused for now: nothing was applied, and a later try may succeed."""

LOOK = frozenset({"alreadyExists", "RESOURCE_ALREADY_EXISTS", "notFound", "RESOURCE_NOT_FOUND"})
"""Refusals that may be the echo of a call that was applied after all: only a look can tell."""
