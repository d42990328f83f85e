"""One call on a resource, and what all its handlers need."""

from __future__ import annotations

from dataclasses import dataclass

from ..kit.faults import Fault, Json, Kind
from . import names, operations
from .calls import Call
from .errors import ArmError, Reply
from .identity import Principal
from .kinds import CHILDREN, KINDS, Child
from .kinds import Kind as ResourceKind
from .listing import Listing
from .names import Path
from .world import Resource, World


@dataclass(frozen=True, slots=True)
class Turn:
    """One call on a resource, with all that its handler needs."""

    world: World
    call: Call
    path: Path
    principal: Principal | None
    faults: tuple[Fault, ...]
    base: str

    @property
    def kind(self) -> ResourceKind:
        """The kind of the top-level resource."""
        return KINDS[f"{self.path.provider}/{self.path.types[0]}"]

    @property
    def child(self) -> Child | None:
        """The kind inside it that is meant."""
        return CHILDREN.get((self.kind.name, self.path.types[1])) if len(self.path.types) > 1 else None

    @property
    def asked(self) -> operations.Asked:
        """For the URLs in the answer."""
        return operations.Asked(self.base, self.call.version)

    @property
    def listing(self) -> Listing:
        """For lists."""
        return Listing(self.world, self.call, self.faults, self.base)

    def fires(self, kind: Kind) -> Fault | None:
        """The fault of a kind that fires on this call."""
        return next((fault for fault in self.faults if fault.kind is kind), None)


def no(turn: Turn) -> Reply:
    """Refuse the method."""
    raise ArmError(405, "MethodNotAllowed", f"The method {turn.call.method} is not allowed at {turn.call.raw_path}.")


def no_type(path: Path, call: Call) -> ArmError:
    """Return the refusal of a kind that is not served."""
    text = (
        f"The resource type could not be found in the namespace '{path.provider or 'Microsoft.Resources'}' for api version "
        f"'{call.version}'."
    )
    return ArmError(404, "InvalidResourceType", text)


def need(turn: Turn, path: Path) -> Resource:
    """Return the top-level resource of a path. ArmError when there is none."""
    found = turn.world.find(path.text)
    if found is None:
        what = f"{path.type_name}/{path.names[0]}"
        text = f"The Resource '{what}' under resource group '{path.group}' was not found."
        raise ArmError(404, "ResourceNotFound", text)
    return found


def shown(turn: Turn, resource: Resource) -> Json:
    """A resource as an answer holds it."""
    return document_of(turn.world, resource, turn.call.version)


def document_of(world: World, resource: Resource, version: str) -> Json:
    """A resource as an answer of a version holds it."""
    kind = KINDS.get(resource.kind) or KINDS["Microsoft.Network/networkInterfaces"]
    found: Json = {"name": resource.path.names[-1], "id": resource.id}
    if kind.provider == names.NETWORK:
        found["etag"] = resource.etag
    found |= {"type": resource.kind, "location": resource.location}
    if resource.tags or resource.hidden.get("tags_given"):
        found["tags"] = resource.tags
    return {**found, **resource.extra, "properties": kind.show(world, resource, version)}
