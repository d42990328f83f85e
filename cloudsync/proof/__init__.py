"""Proof: what would be enforced equals what is wanted, and no state on the way exposes or cuts. Pure; works on what is really sent."""
