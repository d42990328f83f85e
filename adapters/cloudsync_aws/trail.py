"""Who made a rule: CloudTrail's record of the Authorize call that answered with it.

LookupEvents takes one attribute a call, two calls a second for each account and Region, and knows 90 days; a record arrives minutes after
the call (CloudTrail API reference, LookupEvents). So only few groups are asked about, one page each, the latest records.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from cloudsync.model.errors import AdapterError
from cloudsync.model.witness import Author
from cloudsync_aws import parse
from cloudsync_aws.client import Client
from cloudsync_aws.decode import native_text

GROUPS_MOST = 10
"""Groups asked about in one run and Region."""
PAGE = 50
_ADDING = ("AuthorizeSecurityGroupIngress", "AuthorizeSecurityGroupEgress")
_FIELDS = {
    "groupId": "GroupId",
    "securityGroupRuleId": "SecurityGroupRuleId",
    "isEgress": "IsEgress",
    "ipProtocol": "IpProtocol",
    "fromPort": "FromPort",
    "toPort": "ToPort",
    "cidrIpv4": "CidrIpv4",
    "cidrIpv6": "CidrIpv6",
    "prefixListId": "PrefixListId",
}


def authors(client: Client, region: str, wanted: Mapping[str, set[str]], since: float) -> dict[tuple[str, str], Author]:
    """Return the latest author of each wanted rule: group id -> native texts. Raises AdapterError."""
    found: dict[tuple[str, str], Author] = {}
    for group in sorted(wanted)[:GROUPS_MOST]:
        answer = client.read(
            region,
            "lookup_events",
            LookupAttributes=[{"AttributeKey": "ResourceName", "AttributeValue": group}],
            StartTime=datetime.fromtimestamp(since, UTC),
            MaxResults=PAGE,
        )
        events = answer.get("Events")
        if not isinstance(events, list):
            raise AdapterError(client.settings.scope(region), "LookupEvents", "the answer holds no Events")
        for event in events:  # the latest first: it is who made the rule that is there now
            for key, author in made(event):
                if key[0] == group and key[1] in wanted[group]:
                    found.setdefault(key, author)
    return found


def made(event: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], Author]]:
    """Yield the rules that an event's call added, with who sent it. A record in another shape, or of a refused call, tells nothing."""
    if event.get("EventName") not in _ADDING:
        return
    try:
        record = json.loads(event["CloudTrailEvent"])
        items = record["responseElements"]["securityGroupRuleSet"]["items"]
        author = Author(_who(record, event), event["EventTime"].timestamp(), f"{event['EventName']} (CloudTrail)")
        for item in items:
            raw = {name: item[said] for said, name in _FIELDS.items() if said in item}
            raw["ReferencedGroupInfo"] = {"GroupId": (item.get("referencedGroupInfo") or {}).get("groupId")}
            group, _, key = parse.numbered_rule(raw)
            yield (group, native_text(key)), author
    except (KeyError, TypeError, ValueError, AttributeError, parse.ParseError):
        return


def _who(record: Mapping[str, Any], event: Mapping[str, Any]) -> str:
    identity = record.get("userIdentity") or {}
    return str(identity.get("arn") or event.get("Username") or identity.get("principalId") or "somebody unnamed")
