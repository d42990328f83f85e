"""Changes to a configuration: create, modify, delete. A draft is edited and checked as a whole; who keeps it decides afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..kit.faults import Json
from . import members, references, rules, schema, virtuals
from .config import Config, Object
from .references import Key
from .refusal import DeviceError, bad_property, exists, missing_property, not_found
from .schema import RESOURCES, SHARED_NAMES, Kind
from .settings import Settings
from .values import OPPOSITES, camel, name_of, read
from .words import is_address, split_domain

EMPTY_REFUSED = {schema.ADDRESS_LIST: ("addresses", "addressLists", "fqdns", "geo"), schema.PORT_LIST: ("ports", "portLists")}
EMPTY_REFUSED[schema.NET_ADDRESS_LIST] = EMPTY_REFUSED[schema.ADDRESS_LIST]


@dataclass(slots=True)
class Editor:
    """Edits one draft."""

    draft: Config
    settings: Settings
    generation: Callable[[], int]
    before: Config
    """The configuration as it was: some deletes are refused for what it held."""
    touched: dict[Key, None] = field(default_factory=dict)
    deleted: dict[Key, None] = field(default_factory=dict)
    needed_before: dict[Key, str] | None = None

    # --- whole objects --------------------------------------------------------------------------------------------

    def create(self, collection: str, body: Json) -> Key:
        """Make an object."""
        resource, given = RESOURCES[collection], camel(body)
        if resource.fixed or resource.single:
            raise DeviceError(405, "HTTP method POST is not allowed for this resource.", 1)
        name = name_of(given)
        partition = str(given.get("partition") or "Common") if resource.partitioned else ""
        folder = str(given.get("subPath") or "") if resource.partitioned else ""
        if not resource.partitioned:
            path = name
        elif collection == schema.FOLDER:
            path = name if name.startswith("/") else "/".join(("", partition, *([folder] if folder else []), name))
        else:
            path = "/".join(("", partition, *([folder] if folder else []), name))
            self._folder(partition, folder)
        held = self.draft.objects[collection]
        twin = SHARED_NAMES.get(collection)
        if path in held or (twin is not None and path in self.draft.objects[twin]):
            raise exists(resource.word, path, partition or "Common")
        found: Object = {"name": name}
        if partition:
            found["partition"] = partition
        if folder:
            found["subPath"] = folder
        held[path] = found
        if collection in (schema.NODE, schema.VIRTUAL_ADDRESS) and is_address(name):
            given.setdefault("address", name)
        self._merge(collection, path, given)
        for required in resource.required:
            if held[path].get(required) in (None, []):
                raise missing_property(required)
        self._complete(collection, path)
        return collection, path

    def modify(self, collection: str, path: str, body: Json, *, whole: bool = False) -> Key:
        """Change an object; `whole` (PUT) first takes away everything that is not sent."""
        held, given = self.draft.objects[collection], camel(body)
        if path not in held:
            raise not_found(RESOURCES[collection].word, path)
        if whole:
            kept = ("name", "partition", "subPath", "generation", *([] if "rules" in given or "members" in given else ["rules", "members"]))
            held[path] = {key: value for key, value in held[path].items() if key in kept}
        self._merge(collection, path, given)
        for required in RESOURCES[collection].required:
            if held[path].get(required) in (None, []):
                raise missing_property(required)
        self._complete(collection, path)
        return collection, path

    def delete(self, collection: str, path: str) -> None:
        """Take an object away."""
        resource, held = RESOURCES[collection], self.draft.objects[collection]
        if resource.single or resource.fixed:
            raise DeviceError(405, "HTTP method DELETE is not allowed for this resource.", 1)
        if path not in held:
            raise not_found(resource.word, path)
        self._deletable(collection, path)
        del held[path]
        self.touched.pop((collection, path), None)
        self.deleted[collection, path] = None
        if collection == schema.VIRTUAL:
            virtuals.forget_addresses(self.draft)
        if collection == schema.PARTITION:
            self.draft.objects[schema.FOLDER].pop(f"/{path}", None)

    def _deletable(self, collection: str, path: str) -> None:
        if self.settings.delete_check == "before" and path in self.before.objects[collection]:
            if self.needed_before is None:
                self.needed_before = references.index(self.before)
            if user := self.needed_before.get((collection, path)):
                raise references.needed(collection, path, user)
        if collection == schema.PARTITION:
            inside = [at for held in self.draft.objects.values() for at in held if at.startswith(f"/{path}/")]
            if path == "Common" or inside:
                raise DeviceError(400, f"01070829:5: Can't delete folder (/{path}), as it contains items: {', '.join(sorted(inside)[:3])}.")
        if collection == schema.ROUTE_DOMAIN and self.draft.objects[collection][path].get("id") == 0:
            raise DeviceError(400, "01070975:3: Route domain 0 cannot be deleted.")

    # --- parts ----------------------------------------------------------------------------------------------------

    def add_part(self, collection: str, path: str, body: Json) -> str:
        """Make a rule or a pool member; return its name."""
        found = self._holder(collection, path)
        if collection == schema.POOL:
            given = camel(body)
            made = members.add(found.get("members", ()), given, self.settings, str(found.get("partition", "Common")))
            self._put_parts(collection, path, made)
            return str(made[-1]["name"])
        made = rules.add(found.get("rules", ()), body, self.settings, path, self.generation)
        self._put_parts(collection, path, made)
        return name_of(body)

    def change_part(self, collection: str, path: str, name: str, body: Json, *, whole: bool = False) -> str:
        """Change one; `whole` (PUT) first takes away everything that is not sent."""
        found = self._holder(collection, path)
        if collection == schema.POOL:
            made = members.change(found.get("members", ()), name, camel(body), self.settings)
        else:
            held = found.get("rules", ())
            if whole:
                at = rules.index(held, name)
                held = (*held[:at], {"name": name}, *held[at + 1 :])
            made = rules.change(held, name, body, self.settings, self.generation)
        self._put_parts(collection, path, made)
        return name

    def remove_part(self, collection: str, path: str, name: str) -> None:
        """Take one away."""
        found = self._holder(collection, path)
        part = members if collection == schema.POOL else rules
        self._put_parts(collection, path, part.remove(found.get(RESOURCES[collection].sub, ()), name))

    def _holder(self, collection: str, path: str) -> Object:
        found = self.draft.objects[collection].get(path)
        if found is None:
            raise not_found(RESOURCES[collection].word, path)
        return found

    def _put_parts(self, collection: str, path: str, made: tuple[Object, ...]) -> None:
        self.draft.objects[collection][path] = {
            **self.draft.objects[collection][path],
            RESOURCES[collection].sub: made,
            "generation": self.generation(),
        }
        self._complete(collection, path)

    # --- what both share ------------------------------------------------------------------------------------------

    def _folder(self, partition: str, folder: str) -> None:
        inside = f"/{partition}/{folder}" if folder else ""
        if partition not in self.draft.objects[schema.PARTITION] or (inside and inside not in self.draft.objects[schema.FOLDER]):
            raise not_found("folder", inside or f"/{partition}")

    def _merge(self, collection: str, path: str, given: dict[str, Json]) -> None:
        resource, held = RESOURCES[collection], self.draft.objects[collection]
        partition = str(held[path].get("partition", "Common"))
        found = dict(held[path])
        for key, value in read(resource.fields, given, self.settings, partition).items():
            if key == resource.sub:
                found[key] = self._parts(collection, path, value)
            elif value is None or value == [] or (value is False and resource.fields[key].kind is Kind.FLAG):
                found.pop(key, None)
            else:
                found[key] = value
                found.pop(OPPOSITES.get(key, ""), None) if resource.fields[key].kind is Kind.FLAG else None
        found["generation"] = self.generation()
        held[path] = found

    def _parts(self, collection: str, path: str, value: Json) -> tuple[Object, ...]:
        found = self.draft.objects[collection][path]
        if collection == schema.POOL:
            return members.nested(value, self.settings, str(found.get("partition", "Common")))
        return rules.nested(found.get("rules", ()), value, self.settings, path, self.generation)

    def _complete(self, collection: str, path: str) -> None:
        """What the device adds by itself, and what it refuses at once."""
        found = self.draft.objects[collection][path]
        wanted = EMPTY_REFUSED.get(collection)
        if wanted and not any(found.get(each) for each in wanted):
            raise DeviceError(400, f"01071a7f:3: The {RESOURCES[collection].word} ({path}) must not be empty.")
        match collection:
            case _ if collection == schema.VIRTUAL:
                virtuals.complete(self.draft, path, self.generation)
            case _ if collection == schema.PARTITION:
                folders = self.draft.objects[schema.FOLDER]
                folders.setdefault(f"/{path}", {"name": path, "partition": "/", "generation": self.generation()})
            case _ if collection == schema.POOL:
                members.make_nodes(self.draft, found.get("members", ()), self.generation)
            case _ if collection == schema.SNAT_POOL:
                self.draft.objects[collection][path] = {**found, "members": members.address_paths(found["members"])}
            case _ if collection == schema.ROUTE_DOMAIN:
                self._unique(collection, path, "id")
            case _ if collection == schema.SELF:
                self._unique(collection, path, "address")
            case _:
                pass
        self.touched[collection, path] = None

    def _unique(self, collection: str, path: str, name: str) -> None:
        held = self.draft.objects[collection]
        value = _bare(held[path][name])
        for at, other in held.items():
            if at != path and _bare(other.get(name)) == value:
                raise DeviceError(400, f"01070587:3: The {RESOURCES[collection].word} ({path}) has the same {name} as ({at}).")

    def finish(self) -> None:
        """Check everything that was touched or lost somebody; a refusal here means the draft must be thrown away."""
        across = self.settings.cross_partition == "allow"
        for collection, path in self.touched:
            if path in self.draft.objects[collection]:
                references.check(self.draft, collection, path, across=across)
        needed: dict[Key, str] | None = None
        for collection, path in self.deleted:
            if path not in self.draft.objects[collection]:
                needed = references.index(self.draft) if needed is None else needed
                if user := needed.get((collection, path)):
                    raise references.needed(collection, path, user)
        self._no_cycles()

    def _no_cycles(self) -> None:
        """A list may hold lists, but not itself."""
        for collection, path in self.touched:
            if collection not in EMPTY_REFUSED:
                continue
            seen, waiting = {path}, [path]
            while waiting:
                at = waiting.pop()
                for target, named, _ in references.outgoing(collection, at, self.draft.objects[collection].get(at, {})):
                    if target == collection and named == path:
                        raise bad_property("addressLists", path)
                    if target == collection and named not in seen:
                        seen.add(named)
                        waiting.append(named)


def _bare(value: Json) -> Json:
    """An address of a self IP without its length, and anything else as it is."""
    return split_domain(value.partition("/")[0]) if isinstance(value, str) else value
