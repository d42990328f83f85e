"""What every simulated vendor of ours needs: faults, a journal of the wire, token buckets, certificates, and the control verbs."""
