"""The way of one request: who calls, what goes wrong, the strict answer or moto's, what the client is told."""

from __future__ import annotations

import re
import threading
import traceback
from dataclasses import dataclass, field
from urllib.parse import urlencode

from ..http import Answer, Request
from . import actions, buckets, iam, wire
from .accounts import Accounts, issued_by_moto, scope_of
from .buckets import Buckets
from .carrying import Carrier, Dropped
from .faults import Faults
from .journal import Entry, Journal
from .moto_gate import MotoGate
from .native import Native
from .quota_api import answer_quota_request
from .refusal import Refusal
from .trail import answer_trail_request, made, refused
from .wire import Form, Fragment, Value
from .world import Call, World

_TARGET_PARAMS = ("groupid", "prefixlistid", "networkinterfaceid")
XML = {"Content-Type": "text/xml;charset=UTF-8"}


@dataclass(slots=True)
class Asked:
    """One request on its way."""

    request: Request
    account: str
    region: str
    service: str
    action: str
    flat: dict[str, str]
    form: Form
    access_key_id: str | None = None

    @property
    def call(self) -> Call:
        """As the rules see it."""
        return Call(self.action, self.account, self.region, self.form)

    @property
    def mutating(self) -> bool:
        """Does it change anything? Asking STS for keys (AssumeRole and its like) or the trail for events does not."""
        return self.service not in ("sts", "cloudtrail") and not buckets.is_read(self.action)


_UNSAYABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""What no XML 1.0 answer can hold: taken in, it would spoil every later answer. Assumed of EC2, whose answers are always well-formed."""


@dataclass(slots=True)
class Shim:
    """The simulated vendor behind one port."""

    default_region: str = "us-east-1"
    accounts: Accounts = field(default_factory=lambda: Accounts(issued=issued_by_moto))
    world: World = field(init=False)
    journal: Journal = field(default_factory=Journal)
    faults: Faults = field(default_factory=Faults)
    buckets: Buckets = field(init=False)
    carrier: Carrier = field(init=False)
    gate: MotoGate = field(default_factory=MotoGate)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.world = World(self.accounts)
        self.buckets = Buckets(self.world.clock)
        self.carrier = Carrier(self)

    # --- from the wire ---------------------------------------------------------------------------------

    def answer(self, request: Request) -> Answer:
        """Answer one request of any AWS service; a mistake of the lab itself is an InternalError, and stands in its log."""
        try:
            return self._answer(request)
        except Exception:  # noqa: BLE001 (the client must get an answer it can read)
            traceback.print_exc()
            return Answer(500, wire.error("InternalError", "The lab made a mistake; see its log.", "lab"), XML)

    def _answer(self, request: Request) -> Answer:
        asked = self._asked(request)
        with self.lock:
            self.carrier.tick(asked)
            entry = self.journal.begin(_entry(asked))
            entry.targets = self._targets(asked) if asked.mutating and asked.service == "ec2" else {}
            entry.at = self.world.clock.utc().timestamp()
        try:
            answer = self.carrier.carry(asked, entry)
        except Dropped as dropped:
            answer = dropped.answer
        entry.status = answer.status
        return answer

    def _asked(self, request: Request) -> Asked:
        text = request.body.decode("utf-8", "replace") if _is_form(request) else request.query
        flat, form = wire.decode(text)
        presigned = f"Credential={flat['X-Amz-Credential']}" if "X-Amz-Credential" in flat else ""
        scope = scope_of(request.headers.get("authorization", presigned), self.default_region)
        account = request.headers.get("x-moto-account-id") or self.accounts.of_key(scope.access_key_id)
        service = scope.service or ("ec2" if flat.get("Version") == "2016-11-15" else "other")
        action = flat.get("Action") or request.headers.get("x-amz-target", "").rpartition(".")[2] or f"{request.method} {request.path}"
        return Asked(request, account, scope.region, service, action, flat, form, scope.access_key_id)

    def _targets(self, asked: Asked) -> dict[str, dict[str, str]]:
        book = self.world.of(asked.call)
        found = [value for name, value in asked.flat.items() if name.lower() in _TARGET_PARAMS]
        return {each: dict(book.tags(each)) for each in found}

    # --- the answer itself --------------------------------------------------------------------------------

    def perform(self, asked: Asked, entry: Entry) -> tuple[Answer, dict[str, Value] | None]:
        """Do what is asked; the values come along when the lab made the answer itself."""
        with self.lock:
            if asked.service == "servicequotas":
                return answer_quota_request(self.world, asked.call, asked.request.body), None
            if asked.service == "cloudtrail" and asked.action == "LookupEvents":
                return answer_trail_request(self.journal, asked.call, asked.request.body), None
            if asked.service != "ec2":
                return self.gate.ask(asked.request, asked.account), None
            try:
                values = self._ec2(asked)
            except Refusal as refusal:
                entry.code = refusal.code
                return self.refuse(refusal, entry), None
            entry.applied = asked.mutating
            if isinstance(values, Answer):
                entry.code = error_code(values)
                entry.applied = asked.mutating and values.status < 300
                return values, None
            entry.made = made(values)
            return self.render(asked, entry, values), values

    def render(self, asked: Asked, entry: Entry, values: dict[str, Value]) -> Answer:
        """A successful EC2 answer."""
        return Answer(200, wire.answer(asked.action, request_id(entry), values), XML)

    def refuse(self, refusal: Refusal, entry: Entry) -> Answer:
        """An error answer in the words of the service: XML of EC2, JSON of CloudTrail."""
        if entry.service == "cloudtrail":
            return refused(refusal)
        return Answer(refusal.status, wire.error(refusal.code, refusal.message, request_id(entry)), XML)

    def _ec2(self, asked: Asked) -> dict[str, Value] | Answer:
        call = asked.call
        principal = iam.principal_of(asked.account, asked.access_key_id)
        if principal is not None:
            iam.check(principal, iam.needs(self.world.of(call), call))
        for name, value in asked.flat.items():
            if _UNSAYABLE.search(value):
                raise Refusal.value(f"Value for parameter {name} is invalid. It holds a character that XML cannot carry.")
        if asked.form.flag("DryRun"):
            raise Refusal("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412)
        own = actions.own_answer(call)
        if own is not None:
            return own(self.world, call)
        actions.check(self.world, call)
        if asked.action in actions.PAGED_SETS:
            return self._paged(asked)
        answer = self._moto(asked, asked.flat)
        if answer.status < 300:
            actions.after(self.world, call)
        return answer

    def _moto(self, asked: Asked, flat: dict[str, str]) -> Answer:
        # An unsigned request would make moto guess the service.
        headers = {
            **_signed(asked.account, asked.region),
            **asked.request.headers,
            "content-type": "application/x-www-form-urlencoded; charset=utf-8",
        }
        request = Request("POST", "/", "", headers, urlencode(flat).encode())
        answer = self.gate.ask(request, asked.account)
        if answer.status >= 500 or answer.status == 404 or b"<html" in answer.body[:200].lower():
            raise _of_moto_failure(asked, answer)
        return answer

    def _paged(self, asked: Asked) -> dict[str, Value] | Answer:
        """Let moto show everything, then cut the page (row 30)."""
        from .cutting import members

        flat = {name: value for name, value in asked.flat.items() if name not in ("MaxResults", "NextToken")}
        answer = self._moto(asked, flat)
        if answer.status >= 300:
            return answer
        from . import paging

        found = members(answer.body.decode(), actions.PAGED_SETS[asked.action])
        page = paging.page(asked.action, asked.form, found, lambda item: item[0])
        return {actions.PAGED_SETS[asked.action]: Fragment("".join([text for _, text in page.found])), "nextToken": page.token}

    # --- for the estate builder, third-party edits and calls that arrive late ---------------------------------

    def act(self, action: str, params: dict[str, Native], *, account: str | None = None, region: str | None = None, by: str = "lab") -> str:
        """Run one EC2 action inside the process; return the XML, raise Refusal."""
        flat = {"Action": action, "Version": "2016-11-15", **wire.flatten(params)}
        request = Request("POST", "/", "", _signed(account or self.accounts.main, region or self.default_region), b"")
        asked = Asked(request, account or self.accounts.main, region or self.default_region, "ec2", action, flat, wire.form_of(flat))
        with self.lock:
            entry = self.journal.begin(_entry(asked, by=by))
            entry.targets, entry.at = self._targets(asked), self.world.clock.utc().timestamp()
            answer, _ = self.perform(asked, entry)
            entry.status = answer.status
        if answer.status >= 300:
            raise Refusal(entry.code or "InternalError", f"{action}: {answer.body.decode()[:500]}", answer.status)
        return answer.body.decode()


def _signed(account: str, region: str) -> dict[str, str]:
    scope = f"AWS4-HMAC-SHA256 Credential={account}/20300101/{region}/ec2/aws4_request, SignedHeaders=host, Signature=0"
    return {"authorization": scope, "host": f"ec2.{region}.amazonaws.com"}


def _is_form(request: Request) -> bool:
    return bool(request.body) and "x-www-form-urlencoded" in request.headers.get("content-type", "")


def _entry(asked: Asked, by: str = "client") -> Entry:
    params = {name: value for name, value in asked.flat.items() if name not in ("Action", "Version")} if asked.mutating else {}
    who = iam.arn_of(asked.account, asked.access_key_id) if asked.mutating else ""
    key = asked.access_key_id or ""
    return Entry(0, asked.service, asked.action, asked.account, asked.region, asked.mutating, params, by=by, who=who, key=key)


def request_id(entry: Entry) -> str:
    """A request id that names the sequence number."""
    return f"00000000-0000-4000-8000-{entry.sequence:012x}"


def error_code(answer: Answer) -> str | None:
    """The code of an error answer."""
    if answer.status < 300:
        return None
    found = re.search(rb"<Code>([^<]+)</Code>", answer.body)
    return found[1].decode() if found else "InternalError"


def _of_moto_failure(asked: Asked, answer: Answer) -> Refusal:
    """moto answers with an exception or a page of HTML what EC2 refuses in its own format (row 12)."""
    text = re.sub(r"<[^>]+>", " ", answer.body.decode("utf-8", "replace"))
    named = re.search(r"filter '([^']+)'", text)
    if named:
        return Refusal.value(f"The filter '{named[1]}' is invalid")
    if answer.status == 404 or "OperationNotFoundError" in text:
        return Refusal("InvalidAction", f"The action {asked.action} is not valid for this web service.")
    if "not yet implemented" in text or "NotImplemented" in text or "not been implemented" in text:
        return Refusal("UnsupportedOperation", f"The lab does not simulate {asked.action}: {' '.join(text.split())[:300]}")
    return Refusal("InternalError", f"An internal error has occurred: {' '.join(text.split())[-300:]}", 500)
