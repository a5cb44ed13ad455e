"""What Hydra calls for `-m`: before a sweep, to make its jobs, and for a dry run."""
