"""The policy language: bytes in, a Policy or findings out. No effects, no inventory of the clouds."""
