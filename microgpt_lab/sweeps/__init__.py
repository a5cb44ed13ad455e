"""Run the jobs of a sweep side by side, at little more than the cost of their arithmetic."""
