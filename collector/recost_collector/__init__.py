"""The collector: one process per host that drains the rings of all workers and owns the network.

PYTEST_DONT_REWRITE: it would, as it brings a plugin, and warn a program that imports recost before pytest.
"""
