"""CloudTrail LookupEvents over the lab's own journal of EC2 writes, JSON protocol (row 42).

Events are there at once; the real service takes minutes. `requestParameters` holds the ids that a call names and no more.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping

from ..http import Answer
from .journal import Entry, Journal
from .native import Json
from .refusal import Refusal
from .wire import Fragment, Value
from .world import Call

JSON = {"Content-Type": "application/x-amz-json-1.1"}
PAGE_MOST = 50
_KINDS = {"sg-": "AWS::EC2::SecurityGroup", "eni-": "AWS::EC2::NetworkInterface", "pl-": "AWS::EC2::PrefixList"}
_NAMED = {"GroupId": "groupId", "NetworkInterfaceId": "networkInterfaceId", "PrefixListId": "prefixListId"}


def answer_trail_request(journal: Journal, call: Call, body: bytes) -> Answer:
    """LookupEvents: the latest first, filtered by at most one attribute and by time, in pages of at most 50."""
    try:
        values = _values(journal, call, json.loads(body or b"{}"))
    except Refusal as refusal:
        return refused(refusal)
    except ValueError:
        return Answer(400, json.dumps({"__type": "SerializationException"}).encode(), JSON)
    return Answer(200, json.dumps(values).encode(), JSON)


def refused(refusal: Refusal) -> Answer:
    """An error answer."""
    return Answer(400, json.dumps({"__type": refusal.code, "Message": refusal.message}).encode(), JSON)


def made(values: Mapping[str, Value]) -> list[dict[str, Json]]:
    """Return the rules of an Authorize answer as a record of the trail holds them."""
    found = values.get("securityGroupRuleSet")
    rules = found if isinstance(found, list) else []
    return [{name: one for name, one in rule.items() if not isinstance(one, Fragment)} for rule in rules if isinstance(rule, dict)]


def _values(journal: Journal, call: Call, params: dict[str, Json]) -> dict[str, Json]:
    wanted = params.get("LookupAttributes") or []
    if len(wanted) > 1:
        raise Refusal("InvalidLookupAttributesException", "The number of lookup attributes must not exceed 1.")
    most = int(params.get("MaxResults") or PAGE_MOST)
    if not 1 <= most <= PAGE_MOST:
        raise Refusal("InvalidMaxResultsException", f"The maximum number of results must be between 1 and {PAGE_MOST}.")
    start, end = float(params.get("StartTime") or 0), float(params.get("EndTime") or "inf")
    if start > end:
        raise Refusal("InvalidTimeRangeException", "The start time must not be later than the end time.")
    token = str(params.get("NextToken") or "0")
    if not token.isdecimal():
        raise Refusal("InvalidNextTokenException", "The token is not one of a page of this lookup.")
    found = [event for event in _events(journal, call) if start <= event["EventTime"] <= end and _fits(event, wanted)]
    first = int(token)
    more = {"NextToken": str(first + most)} if first + most < len(found) else {}
    return {"Events": found[first : first + most], **more}


def _fits(event: dict[str, Json], wanted: Iterable[dict[str, Json]]) -> bool:
    for one in wanted:
        key, value = one.get("AttributeKey"), one.get("AttributeValue")
        if key in ("ResourceName", "ResourceType"):
            known = [resource[key] for resource in event["Resources"]]
        elif key in ("EventId", "EventName", "ReadOnly", "Username", "EventSource", "AccessKeyId"):
            known = [event[key]]
        else:
            raise Refusal("InvalidLookupAttributesException", f"{key!r} is no lookup attribute.")
        if value not in known:
            return False
    return True


def _events(journal: Journal, call: Call) -> Iterator[dict[str, Json]]:
    for entry in reversed(journal.entries):
        if entry.service == "ec2" and entry.mutating and entry.status and (entry.account, entry.region) == (call.account, call.region):
            yield _event(entry)


def _event(entry: Entry) -> dict[str, Json]:
    number = f"{entry.sequence:012x}"
    names = [name for name in entry.targets if name.startswith(tuple(_KINDS))]
    kinds = [next(kind for prefix, kind in _KINDS.items() if name.startswith(prefix)) for name in names]
    user = entry.who.rpartition("/")[2] or entry.who.rpartition(":")[2]
    return {
        "EventId": f"00000000-0000-4000-8001-{number}",
        "EventName": entry.action,
        "ReadOnly": "false",
        "AccessKeyId": entry.key,
        "EventTime": entry.at,
        "EventSource": "ec2.amazonaws.com",
        "Username": user,
        "Resources": [{"ResourceType": kind, "ResourceName": name} for name, kind in zip(names, kinds, strict=True)],
        "CloudTrailEvent": json.dumps(_record(entry, user, number)),
    }


def _record(entry: Entry, user: str, number: str) -> dict[str, Json]:
    kind = "AssumedRole" if ":assumed-role/" in entry.who else "IAMUser"
    done: Json = None
    if entry.applied:
        done = {"requestId": f"00000000-0000-4000-8000-{number}", "_return": True}
        if entry.made:
            done["securityGroupRuleSet"] = {"items": entry.made}
    return {
        "eventVersion": "1.08",
        "userIdentity": {"type": kind, "arn": entry.who, "accountId": entry.account, "accessKeyId": entry.key, "userName": user},
        "eventSource": "ec2.amazonaws.com",
        "eventName": entry.action,
        "awsRegion": entry.region,
        "requestParameters": {said: entry.params[name] for name, said in _NAMED.items() if name in entry.params},
        "responseElements": done,
        "readOnly": False,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "eventCategory": "Management",
        **({"errorCode": f"Client.{entry.code}"} if entry.code and not entry.applied else {}),
    }
