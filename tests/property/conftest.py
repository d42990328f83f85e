"""No property fails by the wall clock, and each run tries the same examples: what fails once fails always.

`CLOUDSYNC_HUNT=1` draws new examples every time, for finding what nobody thought of.
"""

import os

from hypothesis import HealthCheck, settings

HUNTING = bool(os.environ.get("CLOUDSYNC_HUNT"))

settings.register_profile(
    "unhurried",
    settings.default,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=not HUNTING,
)
settings.load_profile("unhurried")
