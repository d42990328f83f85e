"""One label policy for the firewalls of several clouds: planned, proven, guarded, applied and reported."""

__version__ = "0.1.0"
