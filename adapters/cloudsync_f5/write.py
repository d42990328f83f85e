"""Sending one step, once: a transaction or a few orders, to the device that was active when the plan was made, and to no other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cloudsync.adapter import Clock, Outcome, Status, Step
from cloudsync.model.quick import dataclass
from cloudsync_f5 import parse
from cloudsync_f5 import payload as wire
from cloudsync_f5.client import CallFailedError, Device
from cloudsync_f5.limits import POLL_FIRST_S, POLL_MOST_S
from cloudsync_f5.parse import ParseError
from cloudsync_f5.payload import Call, Request
from cloudsync_f5.read import CONTAINERS, DEVICE, kind, standing
from cloudsync_f5.settings import F5Settings
from cloudsync_f5.simulate import carried
from cloudsync_f5.table import DOMAIN_CONTEXT

TRANSACTION = "/mgmt/tm/transaction"
QUEUED = "tm:transaction:commandsstate"
"""What a write that was put into a transaction is answered with; anything else may mean that it took effect at once."""
COMMIT_S = 300.0
"""How long a commit may run (the device's own executionTimeout)."""
DONE = Outcome(Status.DONE)
Json = Any


@dataclass(slots=True)
class Writer:
    """Writes to one device."""

    device: Device
    settings: F5Settings
    clock: Clock

    def send(self, step: Step) -> Outcome:
        """Send one step. Never raises for an answer of the device: that is FAILED; every doubt is UNKNOWN."""
        request = wire.parse(step.payload)
        refusal = self._unfit(request)
        if refusal is not None:
            return refusal
        if request.transaction:
            outcome = self._transaction(request.calls)
            return self._compiled(request) if outcome.status is Status.DONE and request.expect else outcome
        for call in request.calls:
            outcome = self._order(call)
            if outcome.status is not Status.DONE:
                return outcome
        return DONE

    # --- just before -------------------------------------------------------------------------------------------------

    def _unfit(self, request: Request) -> Outcome | None:
        """Return why nothing may be sent now: another device took over, or somebody attached another policy meanwhile."""
        try:
            own = [one for one in self.device.collection(DEVICE, kind(DEVICE)) if str(one.get("selfDevice")) == "true"]
            if [str(one.get("hostname")) for one in own] != [request.host]:
                return _failed("F5-IDENTITY", f"{request.host} calls itself {', '.join(str(one.get('hostname')) for one in own)}")
            if str(own[0].get("failoverState")) != "active":
                return _failed("F5-FAILOVER", f"{request.host} is {own[0].get('failoverState')} now: nothing was sent; plan again")
            if not request.expect:
                return None
            there = self._carried(request.expect)
        except (CallFailedError, ParseError) as error:
            busy = isinstance(error, CallFailedError) and error.busy
            return Outcome(Status.FAILED, getattr(error, "code", "") or "NotSent", f"nothing was sent: {error}", throttled=busy)
        for context, policy in sorted(request.expect.items()):
            if there.get(context) != policy:
                return _failed("F5-MOVED", f"{context} carries {there.get(context, 'nothing: it is gone')}, not {policy}: nothing was sent")
        return None

    def _carried(self, expect: Mapping[str, str]) -> dict[str, str]:
        """Return which policy each context carries now; only kinds of contexts that are asked for are read."""
        fields = {"$select": "name,partition,subPath,fullPath,fwEnforcedPolicy"}
        outer = [one for one in expect if one.startswith(DOMAIN_CONTEXT)]
        found: dict[str, str] = {}
        if len(outer) < len(expect):
            found |= carried(self.device.collection(wire.VIRTUAL, kind(wire.VIRTUAL), **fields))
        if outer:
            found |= carried(self.device.collection(wire.ROUTE_DOMAIN, kind(wire.ROUTE_DOMAIN)), prefix=DOMAIN_CONTEXT)
        return found

    # --- transactions ------------------------------------------------------------------------------------------------

    def _transaction(self, calls: tuple[Call, ...]) -> Outcome:
        try:
            number = str(self.device.post(TRANSACTION, {})["transId"])
        except CallFailedError as failure:
            return _refused(failure, "no transaction was opened")
        except KeyError:
            return _failed("NoId", "the device opened a transaction without a number")
        try:
            for call in calls:
                self._queue(call, number)
        except CallFailedError as failure:
            self._abandon(number)
            return _refused(failure, "nothing was committed")
        except BaseException:
            self._abandon(number)
            raise
        return self._commit(number)

    def _queue(self, call: Call, number: str) -> None:
        answer = self._one(call, number)
        if answer.get("kind") != QUEUED:
            raise CallFailedError(self.device.host, f"{call.method} {call.path}", f"not queued: the answer is a {answer.get('kind')!r}")

    def _one(self, call: Call, number: str = "") -> Mapping[str, Json]:
        match call.method:
            case "POST":
                return self.device.post(call.path, call.body, number)
            case "PATCH":
                return self.device.patch(call.path, call.body, number)
            case _:
                return self.device.delete(call.path, number)

    def _abandon(self, number: str) -> None:
        """Give a transaction up. The header stays away: with it the device refuses."""
        try:
            self.device.delete(f"{TRANSACTION}/{number}")
        except CallFailedError:
            return  # it ends by itself: an open one changes nothing

    def _commit(self, number: str) -> Outcome:
        try:
            answer = self.device.patch(f"{TRANSACTION}/{number}", {"state": "VALIDATING"})
        except CallFailedError as failure:
            if failure.answered:
                self._abandon(number)
                return _refused(failure, "the commit was refused")
            return self._settled(number, failure)
        return self._ended(number, answer)

    def _settled(self, number: str, failure: CallFailedError) -> Outcome:
        """Find out what became of a commit whose answer is missing, by looking; it is not sent again."""
        try:
            answer = self.device.get(f"{TRANSACTION}/{number}")
        except CallFailedError as second:
            return Outcome(Status.UNKNOWN, failure.code, f"{failure.words}; and the transaction cannot be looked at: {second.words}")
        if answer.get("state") != "STARTED":
            return self._ended(number, answer)
        try:
            self.device.delete(f"{TRANSACTION}/{number}")
        except CallFailedError:
            return Outcome(Status.UNKNOWN, failure.code, failure.words)
        return _refused(failure, "the commit never began, and the transaction was given up")

    def _ended(self, number: str, answer: Mapping[str, Json]) -> Outcome:
        """Wait until a commit has ended, one way or the other."""
        state = answer
        deadline, wait = self.clock.monotonic() + COMMIT_S, POLL_FIRST_S
        while True:
            match str(state.get("state")):
                case "COMPLETED":
                    return DONE
                case "FAILED":
                    self._abandon(number)
                    return _failed("TransactionFailed", str(state.get("failureReason") or "the device gives no reason"))
                case _ if self.clock.monotonic() > deadline:
                    return Outcome(Status.UNKNOWN, "CommitPending", f"the commit is {state.get('state')} after {COMMIT_S:g} s")
            self.clock.sleep(wait)
            wait = min(2 * wait, POLL_MOST_S)
            try:
                state = self.device.get(f"{TRANSACTION}/{number}")
            except CallFailedError as failure:
                return Outcome(Status.UNKNOWN, failure.code, f"the commit was under way, and cannot be looked at: {failure.words}")

    def _compiled(self, request: Request) -> Outcome:
        """Wait until what was committed is in force: a commit alone changes nothing for packets."""
        patched = [(context, call.body) for call in request.calls if (context := wire.context(call))]
        attached = {
            word: {path: str(body[field]) for path, body in patched if field in body}
            for word, field in (("enforced", wire.ENFORCED), ("staged", wire.STAGED))
        }

        def there() -> bool:
            answer = self.device.get(CONTAINERS)
            running = {word: parse.running(answer, word) for word in attached}
            return all(running[word].get(path, "none") == policy for word, some in attached.items() for path, policy in some.items())

        try:
            if not patched or self._poll(there, self.settings.compile_wait):
                return DONE
        except (CallFailedError, ParseError) as error:
            return Outcome(Status.UNKNOWN, "F5-NOT-COMPILED", f"committed, but whether it is compiled cannot be read: {error}")
        words = f"committed, but not compiled after {self.settings.compile_wait:g} s: packets still meet the old rules"
        return Outcome(Status.UNKNOWN, "F5-NOT-COMPILED", words)

    def _poll(self, test: Callable[[], bool], limit_s: float) -> bool:
        deadline, wait = self.clock.monotonic() + limit_s, POLL_FIRST_S
        while not test():
            if self.clock.monotonic() > deadline:
                return False
            self.clock.sleep(wait)
            wait = min(2 * wait, POLL_MOST_S)
        return True

    # --- orders ------------------------------------------------------------------------------------------------------

    def _order(self, call: Call) -> Outcome:
        """Send one call outside a transaction."""
        try:
            if call.path == wire.SYNC and (said := standing(self.device))[0] == "red":
                return _failed("F5-SYNC", f"the devices are in conflict, or do not see each other: {said[1]}: nothing is forced")
            self._one(call)
        except CallFailedError as failure:
            if failure.answered or failure.busy:
                return _refused(failure, "")
            return Outcome(Status.UNKNOWN, failure.code, failure.words)
        return self._in_step() if call.path == wire.SYNC else DONE

    def _in_step(self) -> Outcome:
        """Wait until the devices agree; a conflict is told, never forced."""
        said = ("", "")

        def green() -> bool:
            nonlocal said
            said = standing(self.device)
            return said[0] == "green"

        try:
            if self._poll(green, self.settings.compile_wait):
                return DONE
        except (CallFailedError, ParseError) as error:
            return _failed("F5-SYNC", f"whether the devices agree cannot be read: {error}")
        return _failed("F5-SYNC", f"the devices do not agree: {said[0]}: {said[1]}")


def _failed(code: str, reason: str) -> Outcome:
    return Outcome(Status.FAILED, code, reason)


def _refused(failure: CallFailedError, what: str) -> Outcome:
    words = f"{failure.words} ({what})" if what else failure.words
    return Outcome(Status.FAILED, failure.code or str(failure.status or "NoAnswer"), words, throttled=failure.busy)
