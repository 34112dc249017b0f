"""The pictures of the README, taken from a real run: ``scripts/pictures``."""
