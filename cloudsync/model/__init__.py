"""Values: addresses, services, packet sets, labels, workloads, findings and errors. Pure; the bottom of the house."""
