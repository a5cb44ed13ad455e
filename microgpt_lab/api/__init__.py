"""Train, sweep and look at runs from Python: `from microgpt_lab import train, sweep, load_run`."""
