"""The tensors of the python backend, and padded batches for backends that compute with whole arrays."""
