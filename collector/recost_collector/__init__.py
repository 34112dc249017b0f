"""The collector: one process per host that drains the rings of all workers and owns the network."""
