"""Web frameworks and task queues: what recost does to fit into each, beyond ``init()``."""
