"""Corrections to moto's own models, for what does not pass the wire: launches by an Auto Scaling group, terminations.

Every function here is installed once, when the server starts, and cites the row it corrects.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache

from .native import Native


@cache
def install() -> None:
    """Install all corrections; a second call does nothing."""
    _correct_interfaces()
    _correct_instances()
    _correct_subnets()
    _correct_lookups()
    _load_images_late()


def _correct_interfaces() -> None:
    from moto.ec2.models.elastic_network_interfaces import NetworkInterface

    # Row 27: the set of the interface is the truth, whatever the instance was launched with.
    classes: Native = NetworkInterface
    classes.group_set = property(lambda eni: eni._group_set)


def _correct_instances() -> None:
    from moto.ec2.models.instances import Instance, InstanceBackend

    launched, ended, run = Instance.prep_nics, Instance.terminate, InstanceBackend.run_instances
    classes: Native = Instance
    classes.prep_nics = _launching(launched)
    classes.terminate = _terminating(ended)
    classes.security_groups = property(_groups_of_primary, _set_groups_of_primary)
    for name, field in _PRIMARY_FIELDS.items():
        setattr(classes, name, property(_of_primary(field)))
    backend: Native = InstanceBackend
    backend.run_instances = _with_template_interfaces(run)
    backend.get_instance = _get_instance


_PRIMARY_FIELDS = {
    "private_ip": "private_ip_address",
    "private_ip_address": "private_ip_address",
    "public_ip": "public_ip",
    "public_ip_address": "public_ip",
}


def _of_primary(field: str) -> Callable[[Native], Native]:
    """A property of the primary interface; a terminated instance has none (row 38)."""

    def read(instance: Native) -> Native:
        nic = instance.nics.get(0)
        return None if nic is None else getattr(nic, field)

    return read


def _groups_of_primary(instance: Native) -> Native:
    """Row 27: an instance's groups are those of its primary interface."""
    nics = instance.__dict__.get("nics")
    if nics and 0 in nics:
        return nics[0]._group_set
    return instance.__dict__.get("_launch_groups", [])


def _set_groups_of_primary(instance: Native, groups: list[Native]) -> None:
    instance.__dict__["_launch_groups"] = groups
    nics = instance.__dict__.get("nics")
    if nics and 0 in nics:
        nics[0]._group_set = list(dict.fromkeys(groups))


def _launching(original: Callable[..., None]) -> Callable[..., None]:
    """Rows 26, 27: twins count once; an interface made by a launch goes with the instance unless told otherwise."""

    def prep_nics(instance: Native, nic_spec: list[dict[str, Native]], *args: Native, **kwargs: Native) -> None:
        told = {int(spec.get("DeviceIndex", 0)): dict(spec) for spec in nic_spec}
        original(instance, nic_spec, *args, **kwargs)
        for index, nic in instance.nics.items():
            spec = told.get(index, {})
            nic._group_set = list(dict.fromkeys(nic._group_set))
            if not spec.get("NetworkInterfaceId"):
                nic.delete_on_termination = str(spec.get("DeleteOnTermination", "true")).lower() != "false"

    return prep_nics


def _terminating(original: Callable[[Native], Native]) -> Callable[[Native], Native]:
    """Row 38: a terminated instance has no interfaces; each is deleted, or available again."""

    def terminate(instance: Native) -> Native:
        for nic in list(instance.nics.values()):
            for address in instance.ec2_backend.addresses:
                if address.eni is nic:
                    address.eni = address.instance = address.association_id = None
                    nic.public_ip = None
            if not nic.delete_on_termination:
                instance.detach_eni(nic)
        before = original(instance)
        for nic in instance.nics.values():
            instance.ec2_backend.tags.pop(nic.id, None)
        instance.nics = {}
        return before

    return terminate


def _with_template_interfaces(original: Callable[..., Native]) -> Callable[..., Native]:
    """A launch template may name its groups on an interface; moto reads only the plain list."""

    def run_instances(backend: Native, image_id: str, count: int, user_data: Native, names: list[str], **kwargs: Native) -> Native:
        template = kwargs.get("launch_template")
        if template and not kwargs.get("nics"):
            specs = backend._get_template_from_args(template).data.get("NetworkInterfaces") or []
            if specs:
                nics = copy.deepcopy(specs)
                for nic in nics:
                    nic["Groups"] = nic.get("Groups") or nic.get("SecurityGroupId") or []
                    nic.setdefault("DeviceIndex", 0)
                    if kwargs.get("subnet_id"):
                        nic["SubnetId"] = kwargs["subnet_id"]
                kwargs["nics"] = nics
        return original(backend, image_id, count, user_data, names, **kwargs)

    return run_instances


def _correct_subnets() -> None:
    """moto takes the first subnet of a zone for the zone's default one and hands out public addresses in it."""
    from moto.ec2.models.subnets import SubnetBackend

    backends: Native = SubnetBackend
    original = backends.create_subnet

    def create_subnet(backend: Native, *args: Native, **kwargs: Native) -> Native:
        made = original(backend, *args, **kwargs)
        vpc = backend.vpcs.get(made.vpc_id)
        if vpc is not None and not vpc.is_default:
            made.default_for_az = made.map_public_ip_on_launch = False
        return made

    backends.create_subnet = create_subnet


def _get_instance(backend: Native, instance_id: str) -> Native:
    """Look up without copying every reservation."""
    from moto.ec2.exceptions import InvalidInstanceIdError

    for reservation in list(backend.reservations.values()):
        for instance in reservation.instances:
            if instance.id == instance_id:
                return instance
    raise InvalidInstanceIdError(instance_id)


def _correct_lookups() -> None:
    """moto scans every tag of the account for each resource it shows; large estates need the direct way."""
    from moto.ec2.models.core import TaggedEC2Resource
    from moto.ec2.models.elastic_network_interfaces import NetworkInterfaceBackend
    from moto.ec2.models.security_groups import SecurityGroupBackend
    from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, get_prefix

    def get_tags(resource: Native) -> list[dict[str, str]]:
        found = resource.ec2_backend.tags.get(resource.id) or {}
        if not found:
            return []
        kind = EC2_PREFIX_TO_RESOURCE.get(get_prefix(resource.id), "")
        return [{"resource_id": resource.id, "key": key, "value": value, "resource_type": kind} for key, value in found.items()]

    def get_group(backend: Native, group_id: str) -> Native:
        for groups in list(backend.groups.values()):
            if group_id in groups:
                return groups[group_id]
        return None

    def get_interface(backend: Native, eni_id: str) -> Native:
        from moto.ec2.exceptions import InvalidNetworkInterfaceIdError

        found = backend.enis.get(eni_id)
        if found is None:
            raise InvalidNetworkInterfaceIdError(eni_id)
        return found

    tagged: Native = TaggedEC2Resource
    groups: Native = SecurityGroupBackend
    interfaces: Native = NetworkInterfaceBackend
    tagged.get_tags = get_tags
    groups.get_security_group_from_id = get_group
    interfaces.get_network_interface = get_interface


def _load_images_late() -> None:
    """moto builds 1,300 machine images for each Region before it can answer anything; here only who asks for one waits.

    They are built from a seed of their own, so that the ids of everything else do not depend on when.
    """
    from moto.ec2.models.amis import AmiBackend
    from moto.moto_api._internal import mock_random

    backends: Native = AmiBackend
    load = backends._load_amis

    def images(backend: Native) -> dict[str, Native]:
        if not backend.__dict__.get("_images_loaded"):
            backend.__dict__["_images_loaded"] = True
            before = mock_random.getstate()
            mock_random.seed(f"images of {backend.region_name}")
            load(backend)
            mock_random.setstate(before)
        found: dict[str, Native] = backend.__dict__["_images"]
        return found

    def set_images(backend: Native, found: dict[str, Native]) -> None:
        backend.__dict__["_images"] = found

    search = backends.describe_images

    def describe_images(backend: Native, *args: Native, **kwargs: Native) -> list[Native]:
        """Every launch looks for its image by id: by key, not by a filter over all of them."""
        wanted = kwargs.get("filters")
        if not args and list(kwargs) == ["filters"] and isinstance(wanted, dict) and list(wanted) == ["image-id"]:
            found = backend.amis.get(wanted["image-id"]) if isinstance(wanted["image-id"], str) else None
            if found is not None:
                return [found]
        images_found: list[Native] = search(backend, *args, **kwargs)
        return images_found

    backends.describe_images = describe_images
    backends._load_amis = lambda _backend: None
    backends.amis = property(images, set_images)
