"""Service Quotas for the quotas that the lab enforces, JSON protocol."""

from __future__ import annotations

import json

from ..http import Answer
from . import quota
from .native import Json
from .refusal import Refusal
from .world import Call, World

JSON = {"Content-Type": "application/x-amz-json-1.1"}


def answer_quota_request(world: World, call: Call, body: bytes) -> Answer:
    """GetServiceQuota, ListServiceQuotas and their defaults; an increase is granted at once (row 37)."""
    try:
        params = json.loads(body or b"{}")
        values = _values(world, call, params)
    except Refusal as refusal:
        return Answer(400, json.dumps({"__type": refusal.code, "Message": refusal.message}).encode(), JSON)
    except ValueError:
        return Answer(400, json.dumps({"__type": "SerializationException"}).encode(), JSON)
    return Answer(200, json.dumps(values).encode(), JSON)


def _values(world: World, call: Call, params: dict[str, Json]) -> dict[str, Json]:
    book = world.of(call)
    if params.get("ServiceCode") != "vpc":
        if call.action in ("GetServiceQuota", "ListServiceQuotas", "GetAWSDefaultServiceQuota", "ListAWSDefaultServiceQuotas"):
            raise Refusal("NoSuchResourceException", "The lab knows the quotas of the service vpc only.")
        raise Refusal("UnknownOperationException", call.action)

    def shown(known: quota.Known, value: int) -> dict[str, Json]:
        return {
            "ServiceCode": "vpc",
            "ServiceName": "Amazon Virtual Private Cloud (Amazon VPC)",
            "QuotaArn": f"arn:aws:servicequotas:{book.region}:{book.account}:vpc/{known.code}",
            "QuotaCode": known.code,
            "QuotaName": known.title,
            "Value": float(value),
            "Unit": "None",
            "Adjustable": True,
            "GlobalQuota": False,
        }

    match call.action:
        case "GetServiceQuota":
            known = _known(params)
            return {"Quota": shown(known, book.quotas.value(known.name))}
        case "GetAWSDefaultServiceQuota":
            known = _known(params)
            return {"Quota": shown(known, known.default)}
        case "ListServiceQuotas":
            return {"Quotas": [shown(each, book.quotas.value(each.name)) for each in quota.BY_CODE.values()]}
        case "ListAWSDefaultServiceQuotas":
            return {"Quotas": [shown(each, each.default) for each in quota.BY_CODE.values()]}
        case "RequestServiceQuotaIncrease":
            known = _known(params)
            wanted = int(params.get("DesiredValue", 0))
            if wanted < book.quotas.value(known.name) or (known.highest is not None and wanted > known.highest):
                raise Refusal("IllegalArgumentException", f"{wanted} is not a value that {known.title} can be raised to.")
            book.quotas.change(known.name, wanted)
            granted = shown(known, wanted)
            return {"RequestedQuota": {**granted, "Id": "lab-granted", "Status": "APPROVED", "DesiredValue": float(wanted)}}
    raise Refusal("UnknownOperationException", call.action)


def _known(params: dict[str, Json]) -> quota.Known:
    known = quota.BY_CODE.get(str(params.get("QuotaCode")))
    if known is None:
        raise Refusal("NoSuchResourceException", f"There is no quota {params.get('QuotaCode')!r}")
    return known
