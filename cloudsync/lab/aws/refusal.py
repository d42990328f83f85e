"""What EC2 says no with: a code, a text and an HTTP status."""

from __future__ import annotations


class Refusal(Exception):  # noqa: N818 (EC2 refuses a call; nothing of ours went wrong)
    """A request that EC2 would refuse. Nothing has been changed when it is raised."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.status = status

    @classmethod
    def value(cls, message: str) -> Refusal:
        """InvalidParameterValue."""
        return cls("InvalidParameterValue", message)

    @classmethod
    def missing(cls, name: str) -> Refusal:
        """MissingParameter for one named parameter."""
        return cls("MissingParameter", f"The request must contain the parameter {name}")

    @classmethod
    def group_not_found(cls, *group_ids: str) -> Refusal:
        """InvalidGroup.NotFound that names only the unknown groups (row 31)."""
        if len(group_ids) == 1:
            return cls("InvalidGroup.NotFound", f"The security group '{group_ids[0]}' does not exist")
        return cls("InvalidGroup.NotFound", f"The security groups '{', '.join(group_ids)}' do not exist")

    @classmethod
    def dependency(cls, resource_id: str) -> Refusal:
        """DependencyViolation (row 24)."""
        return cls("DependencyViolation", f"resource {resource_id} has a dependent object")


def different_networks() -> Refusal:
    """A group of a VPC that is not reachable by reference (row 19)."""
    return Refusal("InvalidGroup.NotFound", "You have specified two resources that belong to different networks.")
