"""Configuration: turn signatures into typed Hydra groups, and untrusted input into plain values."""
