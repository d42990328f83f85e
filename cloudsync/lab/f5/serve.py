"""Answers the calls of one unit: who may, where it goes, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..kit.faults import Fault, Json, Kind
from ..kit.journal import Entry
from . import device, render, static, transactions
from .call import Call
from .config import Config
from .paths import Target, target
from .references import Key
from .refusal import DeviceError, not_found, unauthorized, unregistered
from .schema import RESOURCES, ROUTE_DOMAIN, SELF, VIRTUAL
from .tokens import READ_ONLY_ROLES, USERS, User
from .transactions import Command, Transaction
from .unit import Unit
from .world import GROUP, World

COMMANDS = frozenset(
    {"sys/config", "cm", "util/bash", "sys/failover", "security/firewall/on-demand-compilation", "security/firewall/on-demand-rule-deploy"}
)
READS = frozenset(
    {
        "cm/sync-status", "cm/failover-status", "sys/version", "sys/hardware", "security/firewall/container-stat",
        "security/firewall/current-state", "security/firewall/rule-stat",
    }
)  # fmt: skip
MOVED = {"tm/shared/bigip-failover-state": "shared/bigip-failover-state"}


@dataclass(slots=True)
class Turn:
    """One call being answered."""

    world: World
    unit: Unit
    call: Call
    entry: Entry
    firing: tuple[Fault, ...] = ()
    user: User = USERS[0]
    notes: dict[str, Json] = field(default_factory=dict)

    def fires(self, kind: Kind) -> Fault | None:
        """The fault of a kind that is at work in this call."""
        return next((fault for fault in self.firing if fault.kind is kind), None)

    @property
    def seen(self) -> Config:
        """The configuration that reads see."""
        return self.unit.previous if self.fires(Kind.STALE) else self.unit.running


def answer(turn: Turn, *, trusted: bool = False) -> Json:
    """Answer a call; None is an empty body. DeviceError when the device says no. `trusted` calls need no login."""
    call, unit = turn.call, turn.unit
    if 0 < turn.world.settings.largest_body < call.size:
        raise DeviceError(500, "AsyncContext timeout", 1)
    if call.broken:
        raise DeviceError(400, "Found invalid JSON body in the request.", 1)
    path = MOVED.get(call.path, call.path)
    if path == "shared/authn/login":
        if call.method != "POST":
            raise DeviceError(405, f"Method {call.method} not allowed.", rest=True)
        return unit.tokens.login(call.body)
    if not trusted:
        turn.user, token = _who(turn)
        turn.entry.notes |= {"user": turn.user.name, "token": token[-6:]}
    _may(turn)
    if path.startswith("shared/"):
        return _shared(turn, path)
    if call.tm is not None:
        return _tm(turn, call.tm)
    if path == "tm":
        return _organizing("", ("auth", "cm", "ltm", "net", "security", "sys", "transaction"))
    raise unregistered(f"/{call.path}")


def _who(turn: Turn) -> tuple[User, str]:
    call = turn.call
    try:
        return turn.unit.tokens.who(call.token, call.basic)
    except DeviceError as refusal:
        text = refusal.message or (
            "Authorization failed: no user authentication header or token detected. "
            f"Uri:http://localhost:8100/mgmt/{call.path} Referrer:127.0.0.1 Sender:127.0.0.1"
        )
        match turn.world.settings.shape_401:
            case "tm":
                raise DeviceError(401, text, 1) from None
            case "html":
                raise DeviceError(401, text, html=True) from None
            case _:
                raise unauthorized(text) from None


def _may(turn: Turn) -> None:
    """Refuse a write that the user's role does not allow."""
    call, role = turn.call, turn.user.role
    if call.method == "GET" or call.path.startswith(("shared/authz/tokens", "tm/transaction")):
        if role in READ_ONLY_ROLES and call.method != "GET" and call.path.startswith("tm/transaction"):
            raise forbidden(turn)
        return
    narrow = role == "firewall-manager" and not turn.world.settings.firewall_manager_attaches
    firewall = call.path.startswith(("tm/security/firewall/", "tm/net/address-list"))
    if role in READ_ONLY_ROLES or (narrow and not firewall):
        raise forbidden(turn)


def forbidden(turn: Turn) -> DeviceError:
    """403 of a user who may not."""
    call = turn.call
    return DeviceError(
        403,
        f"Authorization failed: user=https://localhost/mgmt/shared/authz/users/{turn.user.name} resource=/mgmt/{call.path} "
        f"verb={call.method} uri:http://localhost:8100/mgmt/{call.path} referrer:127.0.0.1 sender:127.0.0.1",
        rest=True,
    )


def _shared(turn: Turn, path: str) -> Json:
    unit, method = turn.unit, turn.call.method
    if path.startswith("shared/authz/tokens"):
        return unit.tokens.resource(method, path.removeprefix("shared/authz/tokens").strip("/"), turn.call.body, turn.user)
    if method != "GET":
        raise DeviceError(405, f"Method {method} not allowed.", rest=True)
    match path:
        case "shared/bigip-failover-state":
            return device.failover_state(turn.world, unit)
        case "shared/identified-devices/config/device-info":
            return device.device_information(unit, *_identity(turn, unit))
        case "shared/authz/users":
            shown = [_user(each) for each in USERS]
            return {
                "items": shown,
                "kind": "shared:authz:users:userscollectionstate",
                "selfLink": "https://localhost/mgmt/shared/authz/users",
            }
        case _:
            raise unregistered(f"/{path}")


def _user(user: User) -> Json:
    return {"name": user.name, "displayName": user.name, "kind": "shared:authz:users:usersworkerstate"}


def _identity(turn: Turn, unit: Unit) -> tuple[str, str]:
    """(serial, hostname), of another device while the fault says so."""
    fault = turn.fires(Kind.IDENTITY)
    if fault is None or unit is not turn.unit:
        return unit.identity.serial, unit.identity.hostname
    options = fault.options
    return str(options.get("serial", "f5-zzzz-zzzz")), str(options.get("hostname", "stranger.lab.example"))


def _tm(turn: Turn, path: str) -> Json:
    call = turn.call
    if path.partition("/")[0] == "transaction":
        return _transaction(turn, path.split("/")[1:])
    if call.method == "GET":
        return _get(turn, path)
    if call.transaction is not None:
        return _queue(turn, path)
    if path in COMMANDS and call.method == "POST":
        _provisioned(turn, path)
        shown = device.command(turn.world, turn.unit, path, call.body)
        turn.entry.applied = True
        return shown
    if path == f"cm/device-group/~Common~{GROUP}" and call.method == "PATCH":
        shown = device.change_group(turn.world, call.body)
        turn.entry.applied = True
        return shown
    if path.startswith("sys/db/") and call.method == "PATCH":
        shown = device.change_database(turn.world, path, call.body)
        turn.entry.applied = True
        return shown
    at = target(path)
    _provisioned(turn, path)
    draft, left = turn.unit.try_out([Command(call.method, path, call.body)])
    _keep(turn, draft)
    return _shown(turn, at, left[0])


def _keep(turn: Turn, draft: Config) -> None:
    turn.entry.applied = True
    if turn.unit.keep(draft, turn.world.next_commit()):
        turn.world.changed(turn.unit)


def _shown(turn: Turn, at: Target, left: Key | None) -> Json:
    """What a write answers: the object, or the part of it that was written."""
    if left is None:
        return None
    unit, (collection, path) = turn.unit, left
    if not at.sub:
        return render.thing(unit.running, turn.world.settings, collection, path)
    name = at.part or str(turn.call.body.get("name", "")).rpartition("/")[2]
    for each in render.parts(unit.running, turn.world.settings, collection, path):
        if each["name"] == name.rpartition("/")[2]:
            return each
    raise not_found(at.sub, name)


def _queue(turn: Turn, path: str) -> Json:
    unit, call = turn.unit, turn.call
    transaction = unit.transactions.joined(call.transaction or "")
    if path in COMMANDS:
        raise DeviceError(400, f"Transaction {transaction.number} operation {call.method} is not allowed to be added to transaction.", 1)
    target(path)
    _provisioned(turn, path)
    turn.entry.notes["transaction"] = transaction.number
    return unit.transactions.queue(transaction, Command(call.method, path, call.body))


def _transaction(turn: Turn, parts: list[str]) -> Json:
    call, unit = turn.call, turn.unit
    if call.transaction is not None and call.method != "GET":
        number = parts[0] if parts else call.transaction
        raise DeviceError(400, f"Transaction {number} operation {call.method} is not allowed to be added to transaction.", 1)
    if parts:
        turn.entry.notes["transaction"] = int(parts[0]) if parts[0].isdecimal() else parts[0]
    return transactions.ask(unit.transactions, call.method, parts, lambda found, body: _commit(turn, found, body), call.body)


def _commit(turn: Turn, found: Transaction, body: Json) -> Json:
    unit, settings = turn.unit, turn.world.settings
    commands = list(found.commands.values())
    turn.entry.notes["commands"] = [{"method": each.method, "path": each.path, "body": each.body} for each in commands]
    found.validate_only = bool(body.get("validateOnly"))
    if found.validate_only:
        if settings.validate_only == "full":
            _tried(unit, found, commands)
        found.state = "COMPLETED"
        return found.as_json(settings)
    if turn.fires(Kind.OPERATION_LOST):
        found.lost = True
    if failing := turn.fires(Kind.OPERATION_FAILED):
        return _failed_later(turn, found, str(failing.options.get("message", "01070734:3: Configuration error")))
    draft, _ = _tried(unit, found, commands)
    found.state = "COMPLETED"
    _keep(turn, draft)
    if turn.fires(Kind.OPERATION_STUCK):
        found.state, found.done_at = "VALIDATING", 0.0
    elif settings.commit_delay_s:
        found.state, found.done_at = "VALIDATING", turn.world.clock.now() + settings.commit_delay_s
    return found.as_json(settings)


def _tried(unit: Unit, found: Transaction, commands: list[Command]) -> tuple[Config, list[Key | None]]:
    try:
        return unit.try_out(commands)
    except DeviceError as refusal:
        found.state, found.reason = "FAILED", refusal.message
        raise DeviceError(refusal.status, f"transaction failed:{refusal.message}", 2) from None


def _failed_later(turn: Turn, found: Transaction, reason: str) -> Json:
    """A commit that is accepted and fails afterwards: nothing of it takes effect."""
    found.state, found.reason = "VALIDATING", reason
    found.done_at = turn.world.clock.now() + max(turn.world.settings.commit_delay_s, 0.001)
    return {**found.as_json(turn.world.settings), "failureReason": ""}


def _provisioned(turn: Turn, path: str) -> None:
    """AFM's objects exist on devices with AFM only."""
    level = turn.unit.running.objects["sys/provision"]["afm"].get("level", "none")
    if level != "none":
        return
    attaches = isinstance(turn.call.body, dict) and {"fwEnforcedPolicy", "fwStagedPolicy"} & turn.call.body.keys()
    if path.startswith("security/firewall") or (attaches and target(path).collection in (VIRTUAL, SELF, ROUTE_DOMAIN)):
        raise DeviceError(400, "01071a8f:3: The firewall module (AFM) is not provisioned on this device.")


def _get(turn: Turn, path: str) -> Json:
    world, unit = turn.world, turn.unit
    match path:
        case "cm/sync-status":
            return device.sync_status(world, unit, unseen=turn.fires(Kind.UNREACHABLE) is not None)
        case "cm/failover-status":
            return device.failover_status(unit)
        case "sys/version":
            return device.version()
        case "sys/hardware":
            return device.hardware(unit, _identity(turn, unit)[0])
        case "security/firewall/container-stat":
            return device.container_stat(unit)
        case "security/firewall/current-state":
            return device.current_state(unit)
        case "security/firewall/rule-stat":
            return device.rule_stat(unit)
        case "sys" | "ltm" | "net" | "cm" | "security" | "auth" | "security/firewall":
            return _organizing(path, tuple(sorted({each for each in RESOURCES if each.startswith(f"{path}/")})))
        case _ if path.split("/")[:2] == ["cm", "device"]:
            items = device.devices(world, unit, lambda each: _identity(turn, each))
            return _picked(turn, "cm/device", path, items)
        case _ if path.split("/")[:2] == ["cm", "device-group"]:
            return _group(turn, path)
        case _ if path.split("/")[:2] == ["sys", "db"]:
            return _picked(turn, "sys/db", path, device.database(world.settings.default_action))
        case _ if path.split("/")[:2] == ["auth", "user"]:
            return _picked(turn, "auth/user", path, [_local_user(each) for each in USERS])
        case _:
            found = static.answer(path, turn.seen, world.settings, world.clock.now())
            if found is None:
                return _configuration(turn, target(path), path)
            return _pages(turn, {**found, "items": render.wanted(found["items"], turn.call.query)}, path) if "items" in found else found


def _local_user(user: User) -> Json:
    everywhere = {"nameReference": {"link": render.link("auth/partition/all-partitions")}}
    return {
        "kind": render.kind("auth/user"),
        "name": user.name,
        "fullPath": user.name,
        "selfLink": render.link(f"auth/user/{user.name}"),
        "partitionAccess": [{"name": "all-partitions", "role": user.role, **everywhere}],
        "shell": "none",
    }


def _group(turn: Turn, path: str) -> Json:
    if path.endswith("/devices"):
        items = [{"name": each.identity.hostname, "fullPath": f"/Common/{each.identity.hostname}"} for each in turn.world.units.values()]
        return render.collection_of("cm/device-group/devices", items, turn.world.settings)
    return _picked(turn, "cm/device-group", path, [device.device_group(turn.world)])


def _picked(turn: Turn, collection: str, path: str, items: list[Json]) -> Json:
    name = path.removeprefix(collection).strip("/").replace("~", "/")
    if name:
        return render.selected(device.device_named(items, name), turn.call.query)
    return render.paged(render.collection_of(collection, items, turn.world.settings), collection, turn.call.query)


def _organizing(path: str, names: tuple[str, ...]) -> Json:
    shown = [{"reference": {"link": f"https://localhost/mgmt/tm/{name}?ver={render.VERSION}"}} for name in names]
    head = path or "tm"
    return {"kind": f"tm:{head.replace('/', ':')}:{head.rpartition('/')[2]}collectionstate", "selfLink": render.link(path), "items": shown}


def _configuration(turn: Turn, at: Target, path: str) -> Json:
    config, settings, query = turn.seen, turn.world.settings, turn.call.query
    if at.collection.startswith("security/firewall"):
        _provisioned(turn, path)
    expand = query.get("expandSubcollections", "").lower() == "true"
    if at.path is None:
        _bearable(turn, at.collection, expand=expand)
        keys = [(key, config.objects[at.collection][key]) for key in sorted(config.objects[at.collection])]
        let = {id(each) for each in render.wanted([each for _, each in keys], query)}
        items = [_thing(turn, at.collection, key, expand=expand) for key, each in keys if id(each) in let]
        return _pages(turn, render.collection_of(at.collection, items, settings), at.collection)
    if at.path not in config.objects[at.collection]:
        raise not_found(RESOURCES[at.collection].word, at.path)
    if not at.sub:
        return render.selected(_thing(turn, at.collection, at.path, expand=expand), query)
    items = render.parts(config, settings, at.collection, at.path)
    if not at.part:
        shown = render.collection_of(f"{at.collection}/{at.sub}", items, settings)
        shown["selfLink"] = render.link(path)
        return _pages(turn, shown, path)
    for each in items:
        if each["name"] == at.part.rpartition("/")[2]:
            return render.selected(each, query)
    raise not_found("rule" if at.sub == "rules" else "Pool Member", at.part)


def _bearable(turn: Turn, collection: str, *, expand: bool) -> None:
    """Refuse a read that is too much for the REST worker."""
    most, (top, skip) = turn.world.settings.largest_expanded_read, render.page_of(turn.call.query)
    held = len(turn.seen.objects[collection])
    if expand and most and min(top or held, max(0, held - skip)) > most:
        raise DeviceError(500, "AsyncContext timeout", 1)


def _thing(turn: Turn, collection: str, path: str, *, expand: bool) -> Json:
    shown = render.thing(turn.seen, turn.world.settings, collection, path, expand=expand)
    if expand and collection == VIRTUAL:
        shown["profilesReference"]["items"] = static.profiles_of(turn.seen.objects[VIRTUAL][path], f"ltm/virtual/{render.tilded(path)}")
        shown["policiesReference"]["items"] = []
    return shown


def _pages(turn: Turn, shown: dict[str, Json], path: str) -> Json:
    """One page, with what faults do to pages."""
    query = dict(turn.call.query)
    if turn.fires(Kind.PAGE_REPEATED) and int(query.get("$skip", "0") or 0):
        top, skip = render.page_of(query)
        query["$skip"] = str(max(0, skip - top))
    page = render.paged(shown, path, query)
    if turn.fires(Kind.PAGE_LOST) and "items" in page:
        page["items"] = []
    if turn.fires(Kind.TOKEN_LOST):
        page.pop("nextLink", None)
    if turn.fires(Kind.TOKEN_REPEATED) and "nextLink" in page:
        top, skip = render.page_of(query)
        page["nextLink"] = f"https://localhost/mgmt/tm/{path}?$top={top}&$skip={skip}&ver={render.VERSION}"
    return page
