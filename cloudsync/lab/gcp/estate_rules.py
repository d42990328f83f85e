"""VPC rules as years of hurry leave them: the vendor's defaults, an old cluster's, somebody's temporary ones."""

from __future__ import annotations

from .estate import Rule

ANYWHERE = ("0.0.0.0/0",)
HEALTH = ("35.191.0.0/16", "130.211.0.0/22")
_CLUSTER = "gke-prod-euw1-3f9c21ab"

DEFAULT = (
    Rule("default-allow-internal", "default", ("tcp/0-65535", "udp/0-65535", "icmp"), ("10.128.0.0/9",), 65534,
         description="Allow internal traffic on the default network"),
    Rule("default-allow-ssh", "default", ("tcp/22",), ANYWHERE, 65534, description="Allow SSH from anywhere"),
    Rule("default-allow-rdp", "default", ("tcp/3389",), ANYWHERE, 65534, description="Allow RDP from anywhere"),
    Rule("default-allow-icmp", "default", ("icmp",), ANYWHERE, 65534, description="Allow ICMP from anywhere"),
)  # fmt: skip
"""What every project gets with its first network."""

PROD = (
    Rule("prod-allow-internal", "prod", ("tcp/0-65535", "udp/0-65535", "icmp"), ("10.40.0.0/16",), 65534),
    Rule("prod-allow-ssh", "prod", ("tcp/22",), ANYWHERE, description="TEMP migration 2019, remove!"),
    Rule("prod-web-open", "prod", ("tcp/80,443",), ANYWHERE, targets=("web",)),
    Rule("prod-web-open-v6", "prod", ("tcp/443",), ("::/0",), targets=("web",)),
    Rule("prod-lb-health", "prod", ("tcp",), HEALTH, 900, targets=("web",), description="health checks of the load balancer"),
    Rule("prod-db-from-app", "prod", ("tcp/5432",), source_tags=("app",), targets=("db",)),
    Rule("prod-db-from-azure", "prod", ("TCP/5432",), ("10.50.0.0/16",), targets=("db",), description="app tier moved to Azure"),
    Rule("prod-db-reporting", "prod", ("tcp/5432",), ("10.99.0.0/16",), targets=("db",), disabled=True),
    Rule("prod-no-telnet", "prod", ("tcp/23",), ANYWHERE, 300, deny=True),
    Rule("prod-iap", "prod", ("tcp/22,3389",), ("35.235.240.0/20",), 499, description="IAP for TCP forwarding"),
    Rule("prod-no-smtp", "prod", ("tcp/25",), ANYWHERE, deny=True, egress=True),
)  # fmt: skip

CLUSTER = (
    Rule(f"{_CLUSTER}-all", "prod", ("ah", "sctp", "tcp", "udp", "icmp", "esp"), ("10.40.64.0/18",), targets=(f"{_CLUSTER}-node",)),
    Rule(f"{_CLUSTER}-vms", "prod", ("icmp", "tcp/1-65535", "udp/1-65535"), ("10.40.0.0/20",), targets=(f"{_CLUSTER}-node",)),
    Rule(f"{_CLUSTER}-inkubelet", "prod", ("tcp/10255",), ("10.40.64.0/18",), 999, source_tags=(f"{_CLUSTER}-node",),
         targets=(f"{_CLUSTER}-node",)),
    Rule(f"{_CLUSTER}-exkubelet", "prod", ("tcp/10255",), ANYWHERE, deny=True, targets=(f"{_CLUSTER}-node",)),
)  # fmt: skip
"""Those of a cluster's controller, which puts them back."""

DEV = (
    Rule("dev-anything", "dev", ("all",), ("10.0.0.0/8",), description="it is only dev"),
    Rule("dev-ssh", "dev", ("tcp/22",), ANYWHERE),
    Rule("dev-daves-laptop", "dev", ("tcp/0-65535",), ("198.51.100.77/32",)),
)

NODE_TAG = f"{_CLUSTER}-node"
