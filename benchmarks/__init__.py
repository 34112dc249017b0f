"""What recost costs: one subject per file, each a ratio against a baseline of the same run. Run by scripts/bench."""
