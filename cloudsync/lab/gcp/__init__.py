"""A simulated Google Compute: projects, networks, VPC firewall rules, machines, firewall policies and operations on the wire."""
