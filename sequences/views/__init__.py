"""Pages of sequences, one module per kind of thing."""
