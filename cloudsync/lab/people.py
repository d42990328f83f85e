"""People in a hurry: each opens ssh to the world by hand, through the API of one vendor, as nobody should."""

from __future__ import annotations

import json
import ssl
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

from .kit.faults import Json

ANYWHERE = "0.0.0.0/0"
NAME = "temp-ssh"
AZURE_VERSION = "2025-07-01"


def send(method: str, url: str, body: Json = None, *, headers: Mapping[str, str] | None = None, ca_file: str | None = None) -> Json:
    """One request to a simulated vendor on this machine; the answer's JSON. OSError when it is refused."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(  # noqa: S310 (addresses of the lab, from lab.json)
        url, data=data, headers={"Content-Type": "application/json", **(headers or {})}, method=method
    )
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if ca_file:
        handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca_file)))
    with urllib.request.build_opener(*handlers).open(request, timeout=60) as answer:
        text = answer.read()
    return json.loads(text) if text else None


@dataclass(frozen=True, slots=True)
class People:
    """Somebody at each vendor. `lab` is the content of lab.json."""

    lab: Json

    def aws(self) -> str:
        """Add a rule to one of our security groups; return what was done."""
        import boto3

        aws = self.lab["aws"]
        ec2 = boto3.client(
            "ec2",
            endpoint_url=aws["endpoint"],
            region_name=aws["region"],
            aws_access_key_id=aws["access_key_id"],
            aws_secret_access_key=aws["secret_access_key"],
        )
        wanted = [{"Name": "tag:cloudsync:managed", "Values": ["true"]}]
        pages = ec2.get_paginator("describe_security_groups").paginate(Filters=wanted)
        chosen = min((group for page in pages for group in page["SecurityGroups"]), key=lambda group: str(group["GroupName"]))
        permission = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": ANYWHERE}]}
        ec2.authorize_security_group_ingress(GroupId=chosen["GroupId"], IpPermissions=[permission])
        return f"aws: tcp/22 from {ANYWHERE} added to {chosen['GroupName']} ({chosen['GroupId']})"

    def gcp(self) -> str:
        """Insert a firewall rule for the whole network."""
        gcp = self.lab["gcp"]
        base = f"{gcp['endpoint']}/compute/v1/projects/{gcp['project']}/global"
        rule = {
            "name": NAME,
            "network": f"{base}/networks/prod",
            "direction": "INGRESS",
            "priority": 100,
            "sourceRanges": [ANYWHERE],
            "allowed": [{"IPProtocol": "tcp", "ports": ["22"]}],
        }
        operation = send("POST", f"{base}/firewalls", rule, headers=self._google())
        while operation["status"] != "DONE":
            operation = send("POST", f"{base}/operations/{operation['name']}/wait", headers=self._google())
        return f"gcp: firewall rule {NAME} with priority 100 lets tcp/22 from {ANYWHERE} into network prod"

    def _google(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.lab['gcp']['access_token']}"}

    def azure(self, nsg: str = "nsg-web-prod") -> str:
        """Put a rule into an NSG."""
        azure = self.lab["azure"]
        group = f"{azure['endpoint']}/subscriptions/{azure['subscription']}/resourceGroups/{azure['resource_group']}"
        url = f"{group}/providers/Microsoft.Network/networkSecurityGroups/{nsg}/securityRules/{NAME}?api-version={AZURE_VERSION}"
        properties = {
            "protocol": "Tcp", "access": "Allow", "priority": 110, "direction": "Inbound", "sourceAddressPrefix": "Internet",
            "sourcePortRange": "*", "destinationAddressPrefix": "*", "destinationPortRange": "22",
        }  # fmt: skip
        send("PUT", url, {"properties": properties}, headers=self._entra(), ca_file=azure["ca_file"])
        while send("GET", url, headers=self._entra(), ca_file=azure["ca_file"])["properties"]["provisioningState"] == "Updating":
            pass  # each look at it moves the simulated operation on
        return f"azure: rule {NAME} with priority 110 lets tcp/22 from Internet into {nsg}"

    def _entra(self) -> dict[str, str]:
        azure = self.lab["azure"]
        form = {
            "grant_type": "client_credentials",
            "client_id": azure["client_id"],
            "client_secret": azure["client_secret"],
            "scope": "https://management.azure.com/.default",
        }
        url = f"{azure['authority']}/{azure['tenant']}/oauth2/v2.0/token"
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        found = send("POST", url, urllib.parse.urlencode(form).encode(), headers=kind, ca_file=azure["ca_file"])
        return {"Authorization": f"Bearer {found['access_token']}"}

    def f5(self) -> str:
        """Put an accept at the top of one of our policies on the active unit."""
        unit = next(one for one in self.lab["f5"] if self._active(one))
        base, token = f"{unit['endpoint']}/mgmt/tm/security/firewall/policy", self._login(unit)
        policies = send("GET", base, headers=token, ca_file=unit["ca_file"])["items"]
        chosen = min((one for one in policies if one["name"].startswith("cs_")), key=lambda one: str(one["name"]))
        rule = {"name": NAME, "action": "accept", "ipProtocol": "any", "placeBefore": "first", "status": "enabled"}
        path = chosen["fullPath"].replace("/", "~")
        send("POST", f"{base}/{path}/rules", rule, headers=token, ca_file=unit["ca_file"])
        return f"f5: rule {NAME} accepts everything at the top of {chosen['fullPath']}"

    def _active(self, unit: Json) -> bool:
        found = send("GET", f"{unit['endpoint']}/mgmt/tm/shared/bigip-failover-state", headers=self._login(unit), ca_file=unit["ca_file"])
        return bool(found["failoverState"] == "active")

    def _login(self, unit: Json) -> dict[str, str]:
        body = {"username": unit["user"], "password": unit["password"], "loginProviderName": "tmos"}
        found = send("POST", f"{unit['endpoint']}/mgmt/shared/authn/login", body, ca_file=unit["ca_file"])
        return {"X-F5-Auth-Token": found["token"]["token"]}
