"""State on disk: journal, audit chain, approvals, holds, leases, originals, findings history. SQLite now; the ports are elsewhere."""
