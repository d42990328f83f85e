"""Azure on loopback: Azure Resource Manager, what firewalls need of Microsoft.Network and Microsoft.Compute, and Entra's tokens."""
