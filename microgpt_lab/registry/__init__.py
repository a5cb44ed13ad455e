"""Find parts in plugins, check them, and build them."""
