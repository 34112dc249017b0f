"""What the documents say, held to the code; ``scripts/docs`` writes the parts of them that are generated."""
