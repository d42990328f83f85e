"""Transactions of one unit: writes that wait for one commit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..clock import LabClock
from ..kit.faults import Json
from .refusal import DeviceError, not_found
from .render import link
from .settings import Settings

FIRST_ID = 1767600000000000
"""Ids are microseconds of the wall clock on a device: some sixteen digits."""


@dataclass(frozen=True, slots=True)
class Command:
    """One write."""

    method: str
    path: str
    """Below /mgmt/tm/."""
    body: Json


@dataclass(slots=True)
class Transaction:
    """One open or ended transaction."""

    number: int
    started: float
    touched: float
    state: str = "STARTED"
    reason: str = ""
    commands: dict[int, Command] = field(default_factory=dict)
    next_command: int = 1
    validate_only: bool = False
    done_at: float = 0.0
    """When a commit that takes time is over."""
    lost: bool = False

    def as_json(self, settings: Settings) -> Json:
        """As the transaction resource shows it."""
        return {
            "transId": self.number,
            "state": self.state,
            "timeoutSeconds": int(settings.transaction_timeout_s),
            "asyncExecution": False,
            "validateOnly": self.validate_only,
            "executionTimeout": 300,
            "executionTime": 0,
            "failureReason": self.reason,
            "kind": "tm:transactionstate",
            "selfLink": link(f"transaction/{self.number}"),
        }

    def command_json(self, number: int) -> Json:
        """One command as it is shown."""
        command = self.commands[number]
        return {
            "method": command.method,
            "uri": f"https://localhost/mgmt/tm/{command.path}",
            **({"body": command.body} if command.body is not None else {}),
            "evalOrder": number,
            "commandId": number,
            "kind": "tm:transaction:commandsstate",
            "selfLink": link(f"transaction/{self.number}/commands/{number}"),
        }


@dataclass(slots=True)
class Transactions:
    """All transactions of one unit."""

    clock: LabClock
    settings: Settings
    held: dict[int, Transaction] = field(default_factory=dict)
    next_id: int = FIRST_ID

    def open(self) -> Transaction:
        """Begin one."""
        self.next_id += 7919
        now = self.clock.now()
        made = Transaction(self.next_id, now, now)
        self.held[made.number] = made
        return made

    def settle(self) -> None:
        """End the commits that take time, and forget what was left open too long."""
        now = self.clock.now()
        for number, each in list(self.held.items()):
            if each.state == "VALIDATING" and each.done_at and now >= each.done_at:
                each.state, each.reason = ("FAILED", each.reason) if each.reason else ("COMPLETED", "")
            since = each.touched if self.settings.transaction_expiry == "idle" else each.started
            if each.lost or (each.state in ("STARTED", "FAILED") and now - since > self.settings.transaction_timeout_s):
                del self.held[number]

    def find(self, text: str) -> Transaction:
        """One of them; expired ones are gone without a word."""
        found = self.held.get(int(text)) if text.isdecimal() else None
        if found is None:
            raise not_found("transaction", text)
        found.touched = self.clock.now()
        return found

    def joined(self, header: str) -> Transaction:
        """Return the transaction that a write wants to join."""
        found = self.held.get(int(header)) if header.strip().isdecimal() else None
        if found is None or found.state != "STARTED":
            raise DeviceError(404, f"The transaction ({header}) does not exist.", 1)
        found.touched = self.clock.now()
        return found

    def queue(self, transaction: Transaction, command: Command) -> Json:
        """Put a write at the end."""
        number = transaction.next_command
        transaction.next_command += 1
        transaction.commands[number] = command
        return transaction.command_json(number)

    def opened(self) -> list[Transaction]:
        """Those nobody has committed or given up."""
        return [each for each in self.held.values() if each.state in ("STARTED", "FAILED")]


def ask(transactions: Transactions, method: str, parts: list[str], commit: Callable[[Transaction, Json], Json], body: Json) -> Json:
    """Answer a request for /tm/transaction and what is below it, sent without the coordination header."""
    if not parts:
        return _collection(transactions, method)
    found = transactions.find(parts[0])
    if len(parts) > 1:
        return _commands(found, method, parts[1:])
    match method:
        case "GET":
            return found.as_json(transactions.settings)
        case "DELETE":
            del transactions.held[found.number]
            return None
        case "PATCH" | "PUT":
            if not isinstance(body, dict) or body.get("state") != "VALIDATING":
                raise DeviceError(400, "The only state that a transaction can be set to is VALIDATING.", 1)
            if found.state not in ("STARTED", "FAILED"):
                raise DeviceError(400, f"The transaction ({found.number}) is in state {found.state}.", 1)
            if not found.commands:
                raise DeviceError(400, "there is no command to commit in the transaction", 1)
            return commit(found, body)
        case _:
            raise DeviceError(405, f"HTTP method {method} is not allowed for this resource.", 1)


def _collection(transactions: Transactions, method: str) -> Json:
    if method == "POST":
        return transactions.open().as_json(transactions.settings)
    if method == "GET":
        shown = [each.as_json(transactions.settings) for each in transactions.held.values()]
        return {"kind": "tm:transactioncollectionstate", "selfLink": link("transaction"), "items": shown}
    raise DeviceError(405, f"HTTP method {method} is not allowed for this resource.", 1)


def _commands(found: Transaction, method: str, parts: list[str]) -> Json:
    if parts[0] != "commands":
        raise DeviceError(404, f"Public URI path not registered: /tm/transaction/{found.number}/{parts[0]}", rest=True)
    if len(parts) == 1:
        shown = [found.command_json(number) for number in found.commands]
        return {"kind": "tm:transaction:commandscollectionstate", "selfLink": link(f"transaction/{found.number}/commands"), "items": shown}
    rest = "/".join(parts[1:])
    if not rest.isdecimal() or int(rest) not in found.commands:
        raise DeviceError(400, f"Found invalid command id {rest}/", 1)
    if method == "DELETE":
        del found.commands[int(rest)]
        return None
    return found.command_json(int(rest))
