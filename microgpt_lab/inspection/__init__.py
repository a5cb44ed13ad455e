"""Replay a text through a run, and show every number of it."""
