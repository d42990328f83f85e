"""All planted defects."""

from tests.seeded import (
    in_adapter,
    in_apply,
    in_course,
    in_guards,
    in_planner,
    in_platforms,
    in_policy,
    in_service,
    in_shields,
    in_store,
    in_terraform,
    in_verify,
)

DEFECTS = (
    *(*in_guards.DEFECTS, *in_planner.DEFECTS, *in_apply.DEFECTS, *in_adapter.DEFECTS, *in_policy.DEFECTS),
    *(*in_platforms.DEFECTS, *in_service.DEFECTS, *in_store.DEFECTS, *in_terraform.DEFECTS, *in_shields.DEFECTS, *in_course.DEFECTS),
    *in_verify.DEFECTS,
)
