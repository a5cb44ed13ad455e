"""What Hydra calls for `-m`: the preparation of a sweep, its launcher and sweeper, and the dry run."""
