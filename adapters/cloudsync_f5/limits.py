"""What AFM can say, how much of it, and which right each call needs: data beside the code that uses it.

Sources: the AFM manuals (14.1 to 17.1), the iControl REST user guide; roles are unverified on a device, so `doctor` tries them.
"""

from __future__ import annotations

from cloudsync.adapter import Capabilities, Method, Permission

CAPABILITIES = Capabilities(
    platform="f5",
    denies=True,
    egress=False,
    icmp_types=True,
    processes=False,
    rule_logging=True,
    always_open=(
        "what arrives at other virtual servers, self addresses and the management port: rules of ours are about virtual servers alone",
    ),
    methods=(Method.SWAP, Method.SHIELD, Method.MEET),
    in_place=False,
    container="policy",
)

NAME_MOST = 190
"""Longest name that stays one to one in an AS3 declaration (its published schema)."""
DESCRIPTION_MOST = 255
RULE_NAME_MOST = 255

PERMISSIONS: tuple[Permission, ...] = (
    Permission("GET /mgmt/tm/cm/device", "which device answers, and which of the two is active"),
    Permission("GET /mgmt/tm/cm/device-group", "whether both devices are of the group, and whether it synchronises by itself"),
    Permission("GET /mgmt/tm/cm/sync-status", "whether the devices of the group agree"),
    Permission("GET /mgmt/tm/sys/provision", "whether AFM is provisioned"),
    Permission("GET /mgmt/tm/sys/db", "what a virtual server does with packets that no rule matches"),
    Permission("GET /mgmt/tm/ltm/virtual", "virtual servers: addresses, labels in their metadata, the policy on each"),
    Permission("GET /mgmt/tm/ltm/snatpool", "from which addresses connections to pool members come"),
    Permission("GET /mgmt/tm/ltm/pool", "members that virtual servers forward to; refused, the policy is enforced all the same"),
    Permission("GET /mgmt/tm/net/self", "the self addresses of both devices: monitors and automap connect from them"),
    Permission("GET /mgmt/tm/net/route-domain", "policies on route domains, which every packet meets before the virtual server's"),
    Permission("GET /mgmt/tm/net/address-list", "names that are taken: the firewall's lists share them"),
    Permission("GET /mgmt/tm/security/firewall/policy", "all rules of all policies, in one call"),
    Permission("GET /mgmt/tm/security/firewall/rule-list", "rules that foreign policies take in"),
    Permission("GET /mgmt/tm/security/firewall/address-list", "addresses of our lists and of foreign ones"),
    Permission("GET /mgmt/tm/security/firewall/port-list", "ports that foreign rules refer to"),
    Permission("GET /mgmt/tm/security/firewall/global-rules", "the policy of the global context"),
    Permission("GET /mgmt/tm/security/firewall/container-stat", "which policy is compiled and active at each virtual server"),
    Permission("POST /mgmt/tm/transaction", "one transaction for lists, policies and attachments", write=True),
    Permission("POST /mgmt/tm/security/firewall/policy", "one policy per class, made under a new name", write=True),
    Permission("DELETE /mgmt/tm/security/firewall/policy", "remove our policies that nothing carries any more", write=True),
    Permission("POST /mgmt/tm/security/firewall/address-list", "one list per peer", write=True),
    Permission("PATCH /mgmt/tm/security/firewall/address-list", "members of a list come and go without touching a rule", write=True),
    Permission("DELETE /mgmt/tm/security/firewall/address-list", "remove our lists that no rule refers to any more", write=True),
    Permission("PATCH /mgmt/tm/ltm/virtual", "attach and detach: the one field fwEnforcedPolicy", write=True),
    Permission("PATCH /mgmt/tm/net/route-domain", "the same field of the route domains under attach; not needed without them", write=True),
    Permission("POST /mgmt/tm/sys/config", "save, or everything is lost at the next reboot", write=True),
    Permission("POST /mgmt/tm/cm", "bring the change to the other device of the group", write=True),
)

# --- calls -----------------------------------------------------------------------------------------------------------

READ_ATTEMPTS = 3
BACKOFF_FIRST_S, BACKOFF_MOST_S = 0.5, 8.0
PAGES_MAX = 10_000
PAGE_SIZE = 500
"""Virtual servers in one page: expanded collections of some 250 and more were reported to time out."""
POOLS_PAGE = 100
"""Pools in one page, which come with their members."""
RENEW_S = 300.0
"""A login that lasts less than this, in seconds, is renewed before the next call outside a transaction."""
POLL_FIRST_S, POLL_MOST_S = 0.1, 2.0
"""Waits between two looks at what a device is doing grow from the first to the longest, in seconds."""
