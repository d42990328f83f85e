"""A plan's digest, and plan files: canonical JSON, byte-stable, read back to equal values."""

from __future__ import annotations

import json
from collections.abc import Callable

from cloudsync.model.codec import CodecError, Json, Pool, canonical, digest, from_json, to_json
from cloudsync.model.errors import InputError
from cloudsync.model.finding import Finding, Where
from cloudsync.plan.values import Plan, TargetPlan

FORMAT, VERSION = "cloudsync-plan", 1
_NAMED = (
    *("target", "mode", "owner", "identity", "limits", "snapshot_digest", "desired_digest", "policy_digest"),
    *("scopes", "method", "phases", "adoptions", "certificate", "replay", "problems"),
)


def target_digest(plan: TargetPlan) -> str:
    """Return the digest that approvals and `apply FILE` go by: who, what, in which order, under which limits, from which reading.

    Summaries for people are left out, they follow from these; so is the time.
    """
    named = {name: to_json(getattr(plan, name)) for name in _NAMED}
    if plan.component is not None:  # the order between targets is part of each of them
        named["component"] = to_json(plan.component)
    return digest(named)


def plan_digest(plan: Plan) -> str:
    """Return the digest over the plans of all targets, in their order."""
    return digest([target_digest(target) for target in plan.targets])


def dump(plan: Plan, evidence: Callable[[Pool], Json] | None = None) -> str:
    """Return the text of a plan file, ending in a newline. `evidence` gives what `cloudsync verify` needs to check it again."""
    pool = Pool()
    document: dict[str, Json] = {
        "format": FORMAT,
        "version": VERSION,
        "digests": {target.target: target_digest(target) for target in plan.targets},
        "plan": to_json(plan, pool),
    }
    if evidence is not None:
        document["evidence"] = evidence(pool)
    document["packet_sets"] = pool.rows()
    document["content_digest"] = digest(document)
    return canonical(document) + "\n"


def load(text: str, file: str = "plan") -> Plan:
    """Return the plan of a plan file. Raises InputError when it was cut, changed or written by another version."""
    try:
        document = json.loads(text)
        plan = _plan(document)
    except json.JSONDecodeError as error:
        raise _bad(file, f"is no JSON: {error.msg}", error.lineno, error.colno) from error
    except RecursionError as error:
        raise _bad(file, "does not hold a plan: it is nested too deeply") from error
    except (CodecError, ValueError) as error:
        if "sys.set_int_max_str_digits" in str(error):  # Python's own, about numbers of thousands of digits
            raise _bad(file, "does not hold a plan: a number in it has thousands of digits") from error
        raise _bad(file, f"does not hold a plan: {error}") from error
    wanted, whole = document.pop("digests", None), document.pop("content_digest", None)
    found = {target.target: target_digest(target) for target in plan.targets}
    # A file of an earlier release carries neither evidence nor a digest of it.
    sealed = whole == digest({**document, "digests": wanted}) if whole is not None or "evidence" in document else True
    if wanted != found or not sealed:
        raise _bad(file, "was changed after it was written: its digest does not match its content")
    return plan


def _plan(document: Json) -> Plan:
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise CodecError(f"no format {FORMAT!r}")
    if document.get("version") != VERSION:
        raise CodecError(f"version {document.get('version')!r}, this program reads {VERSION}")
    return from_json(Plan, document.get("plan"), Pool(document.get("packet_sets")))


def _bad(file: str, message: str, line: int = 1, col: int = 1) -> InputError:
    return InputError([Finding(Where(file, line, col), "BAD-PLAN", message, "make it again with `cloudsync plan -o FILE`")])
