"""Run the jobs of a sweep in parallel, at little cost in addition to their arithmetic."""
