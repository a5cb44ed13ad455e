"""One training on disk: build it, execute it, record it, resume it."""
