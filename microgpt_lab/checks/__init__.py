"""Check parts: their gradients, shapes, options, and equality with the python backend."""
