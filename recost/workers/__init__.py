"""Hosts of workers: what recost does to fit into each, beyond ``init()``."""
