"""Configuration: from signatures to typed Hydra groups, from untrusted input to plain values."""
