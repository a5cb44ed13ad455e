"""Lists of runs: find, filter, sort, show, compare and remove them."""
