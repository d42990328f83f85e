"""Difference: what would change, in words of packets and workloads. Pure."""
