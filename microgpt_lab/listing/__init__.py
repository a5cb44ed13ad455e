"""List, filter, sort, compare and remove runs."""
