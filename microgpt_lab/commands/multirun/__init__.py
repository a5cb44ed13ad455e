"""Sweeps with `-m`: their preparation, launcher and sweeper, and the dry run."""
