"""Compare the settings of a sweep: which are worse than the best, by how much, and is the evidence enough."""
