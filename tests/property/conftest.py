"""No property fails by the wall clock: on a busy machine the time that an example takes says nothing about the code."""

from hypothesis import HealthCheck, settings

settings.register_profile("unhurried", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
