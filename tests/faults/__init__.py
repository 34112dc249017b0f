"""Break every part at every point and count what is lost or doubled: ``scripts/torture``."""
