"""Azure Resource Manager: from a request to its handler and back."""

from __future__ import annotations

from dataclasses import dataclass

from ..kit.faults import Fault, Json
from . import activity, locks, names, operations, resources
from .calls import Call
from .errors import ArmError, Reply, bad
from .identity import Directory, Principal
from .kinds import KINDS
from .listing import Listing, page
from .names import Path
from .permissions import VERBS, action_of
from .turn import Turn, no_type
from .world import Resource, World
from .writes import region

VERSIONS = ("2014-04-01", "2026-12-31")
"""Every version from the first to the last is served."""
_PERMISSIONS = "/providers/microsoft.authorization/permissions"


@dataclass(slots=True)
class Arm:
    """The service; every method runs under the gate's lock."""

    world: World
    directory: Directory
    base: str = ""
    tenant_name: str = "Contoso"

    def handle(self, call: Call, faults: tuple[Fault, ...], *, trusted: bool = False, by: Principal | None = None) -> Reply:
        """Carry one call out, ArmError for what is refused. `trusted`: nobody asks who it is, only `by` is held to its permissions."""
        operations.settle(self.world)
        if call.raw_path.strip("/").lower() == "metadata/endpoints":
            return Reply(200, self._cloud(call.version))
        principal = by if trusted else self.directory.bearer(call.headers.get("authorization"))
        self._check_version(call)
        if call.raw_path.lower().rstrip("/").endswith(_PERMISSIONS):
            return self._permissions(call.raw_path[: -len(_PERMISSIONS)], principal)
        locked = locks.scope_of(call.raw_path)
        if locked is not None:
            self._allow(principal, f"Microsoft.Authorization/locks/{VERBS.get(call.method, 'action')}", locked)
            return locks.handle(self.world, call, locked)
        if call.path is None:
            return self._tenant_level(call)
        self.world.need_subscription(call.path.subscription)
        self._authorize(call, call.path, principal)
        locks.check(self.world, call.method, call.path.text)
        made = self._create_group(call, call.path)
        if made is not None:
            return made
        path = self.world.canonical(call.path)
        if not path.types:
            return self._subscription(call, path) if path.group is None else self._group(call, path)
        if path.provider is None:
            return self._of_scope(call, path, faults)
        if activity.is_log(path) and call.method == "GET":
            return activity.listed(Listing(self.world, call, faults, self.base), path)
        if path.types[0] == "locations":
            return self._locations(call, path)
        if f"{path.provider}/{path.types[0]}" not in KINDS:
            raise no_type(path, call)
        return resources.handle(Turn(self.world, call, path, principal, faults, self.base))

    # --- before any handler -----------------------------------------------------------------------------------------

    def _check_version(self, call: Call) -> None:
        version = call.version
        if not version:
            raise bad("MissingApiVersionParameter", "The api-version query parameter (?api-version=) is required for all requests.")
        day = version.removesuffix("-preview")
        shaped = len(day) == 10 and day[4] == day[7] == "-" and day.replace("-", "").isdigit()
        if not shaped or not VERSIONS[0] <= day <= VERSIONS[1]:
            text = f"The api-version '{version}' is invalid. The supported versions are from '{VERSIONS[0]}' to '{VERSIONS[1]}'."
            raise bad("InvalidApiVersionParameter", text)

    def _authorize(self, call: Call, path: Path, principal: Principal | None) -> None:
        action = action_of(call.method, path)
        if action:
            self._allow(principal, action, path.text)

    def _allow(self, principal: Principal | None, action: str, scope: str) -> None:
        if principal is not None and not principal.may(action, scope):
            text = (
                f"The client '{principal.client_id}' with object id '{principal.object_id}' does not have authorization to perform action "
                f"'{action}' over scope '{scope}' or the scope is invalid. "
                "If access was recently granted, please refresh your credentials."
            )
            raise ArmError(403, "AuthorizationFailed", text)

    # --- tenant, subscriptions, groups ------------------------------------------------------------------------------

    def _cloud(self, version: str) -> Json:
        cloud: Json = {
            "name": "CloudsyncLab",
            "portal": f"{self.base}/portal",
            "authentication": {
                "loginEndpoint": self.directory.base,
                "audiences": ["https://management.core.windows.net/", "https://management.azure.com/"],
                "tenant": "common", "identityProvider": "AAD",
            },
            "media": "", "graphAudience": "https://graph.windows.net/", "graph": "https://graph.windows.net/",
            "suffixes": {"storage": "core.windows.net", "keyVaultDns": "vault.azure.net", "sqlServerHostname": "database.windows.net"},
            "batch": "https://batch.core.windows.net/", "resourceManager": f"{self.base}/", "activeDirectoryDataLake": "",
            "sqlManagement": "https://management.core.windows.net:8443/", "gallery": self.base,
            "microsoftGraphResourceId": "https://graph.microsoft.com/", "vmImageAliasDoc": "", "appInsightsResourceId": "",
        }  # fmt: skip
        if version >= "2022-09-01":
            return cloud
        return [cloud] if version >= "2019-05-01" else {"galleryEndpoint": "", "authentication": cloud["authentication"]}

    def _tenant_level(self, call: Call) -> Reply:
        match call.raw_path.strip("/").lower():
            case "subscriptions":
                return Reply(200, {"value": [self._subscription_shown(each) for each in self.world.subscriptions]})
            case "tenants":
                tenant = self.directory.tenant
                return Reply(200, {"value": [{"id": f"/tenants/{tenant}", "tenantId": tenant, "displayName": self.tenant_name}]})
            case "providers":
                return Reply(200, {"value": [self._provider(each) for each in (names.NETWORK, names.COMPUTE)]})
        raise ArmError(404, "NotFound", f"Nothing is at {call.raw_path}.")

    def _provider(self, namespace: str) -> Json:
        kinds = [
            {"resourceType": kind.word, "apiVersions": [VERSIONS[0], "2025-07-01"]} for kind in KINDS.values() if kind.provider == namespace
        ]
        return {"namespace": namespace, "registrationState": "Registered", "resourceTypes": kinds}

    def _subscription_shown(self, subscription: str) -> Json:
        return {
            "id": f"/subscriptions/{subscription}",
            "subscriptionId": subscription,
            "tenantId": self.directory.tenant,
            "displayName": self.world.subscriptions[subscription],
            "state": "Enabled",
            "authorizationSource": "RoleBased",
            "subscriptionPolicies": {
                "locationPlacementId": "Public_2014-09-01",
                "quotaId": "PayAsYouGo_2014-09-01",
                "spendingLimit": "Off",
            },
        }

    def _subscription(self, call: Call, path: Path) -> Reply:
        if call.method != "GET":
            raise _no_method(call)
        return Reply(200, self._subscription_shown(path.subscription))

    def _group(self, call: Call, path: Path) -> Reply:
        where = f"{path.subscription}/{path.group}".lower()
        group = self.world.groups[where]
        if call.method in ("GET", "HEAD"):
            return Reply(200, _group_shown(group)) if call.method == "GET" else Reply(204)
        if call.method == "DELETE":
            for each in [one for one in self.world.resources.values() if (one.path.group or "") == path.group]:
                self.world.remove(each)
            del self.world.groups[where]
            result = f"{self.base}/subscriptions/{path.subscription}/operationresults/{self.world.guid()}"
            return Reply(202, None, {"Location": f"{result}?api-version={call.version}"})
        document = call.document()
        group.tags = dict(document.get("tags") or {})
        return Reply(200, _group_shown(group))

    def _create_group(self, call: Call, path: Path) -> Reply | None:
        """Carry out a PUT of a resource group that is not there yet; None when the call is anything else."""
        if path.group is None or path.types or call.method != "PUT":
            return None
        subscription = next((each for each in self.world.subscriptions if each.lower() == path.subscription.lower()), None)
        where = f"{subscription}/{path.group}".lower()
        if subscription is None or where in self.world.groups:
            return None
        document = call.document()
        if not document.get("location"):
            raise bad("LocationRequired", "The location property is required for this definition.")
        group = Resource(Path(subscription, path.group, None, (), ()), region(document["location"]), dict(document.get("tags") or {}))
        self.world.groups[where] = group
        return Reply(201, _group_shown(group))

    def _of_scope(self, call: Call, path: Path, faults: tuple[Fault, ...]) -> Reply:
        """What lies directly below a subscription or a group: groups, all resources, Regions, results of deleting a group."""
        listing = Listing(self.world, call, faults, self.base)
        match path.types[0].lower():
            case "resourcegroups":
                groups = [each for each in self.world.groups.values() if each.path.subscription == path.subscription]
                return page(listing, [_group_shown(each) for each in groups])
            case "resources":
                found = [
                    each for each in self.world.resources.values() if path.group in (None, each.path.group) and len(each.path.types) == 1
                ]
                return page(listing, [_resource_shown(each) for each in found if each.path.subscription == path.subscription])
            case "locations":
                return Reply(200, {"value": [{"name": each, "displayName": each} for each in ("westeurope", "northeurope")]})
            case "operationresults":
                return Reply(200)
        raise no_type(path, call)

    def _locations(self, call: Call, path: Path) -> Reply:
        word = path.types[1].lower() if len(path.types) > 1 else ""
        if call.method == "GET" and word in ("operations", "operationresults") and not path.is_collection:
            return operations.poll(self.world, path)
        if call.method == "GET" and word == "usages":
            return Reply(200, {"value": self._usages(path)})
        raise _no_method(call)

    def _usages(self, path: Path) -> Json:
        where, limits = path.names[0].lower(), self.world.limits
        found: list[Json] = []
        for word, limit in (
            ("networkSecurityGroups", limits.security_groups),
            ("applicationSecurityGroups", limits.asgs),
            ("networkInterfaces", 65_536),
            ("virtualNetworks", 1_000),
        ):
            kind = KINDS[f"{names.NETWORK}/{word}"]
            used = sum(1 for each in self.world.of_kind(kind.name, path.subscription) if each.location == where)
            found.append(_usage(path, kind.group_name, used, limit))
        return [*found, _usage(path, "SecurityRulesPerNetworkSecurityGroup", 0, limits.rules_per_group)]

    def _permissions(self, where: str, principal: Principal | None) -> Reply:
        grants = principal.grants if principal is not None else ()
        found = [grant.shown() for grant in grants if f"{where.lower()}/".startswith(grant.scope.lower().rstrip("/") + "/")]
        return Reply(200, {"value": found})


def _group_shown(group: Resource) -> Json:
    return {
        "id": group.id,
        "name": group.path.group,
        "type": "Microsoft.Resources/resourceGroups",
        "location": group.location,
        "tags": group.tags,
        "properties": {"provisioningState": "Succeeded"},
    }


def _resource_shown(resource: Resource) -> Json:
    """The short form of the list of everything."""
    head = {"id": resource.id, "name": resource.path.names[-1], "type": resource.kind, "location": resource.location}
    return {**head, "tags": resource.tags, **{name: value for name, value in resource.extra.items() if name == "sku"}}


def _usage(path: Path, name: str, used: int, limit: int) -> Json:
    return {
        "id": f"{path.parent.text}/usages/{name}",
        "name": {"value": name, "localizedValue": name},
        "currentValue": used,
        "limit": limit,
        "unit": "Count",
    }


def _no_method(call: Call) -> ArmError:
    return ArmError(405, "MethodNotAllowed", f"The method {call.method} is not allowed at {call.raw_path}.")
