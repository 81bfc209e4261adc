"""What was measured: labels, sources, counts, pseudobulk and effects."""
