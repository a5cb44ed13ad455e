"""What the python backend computes with, and batches for backends that compute with whole arrays."""
