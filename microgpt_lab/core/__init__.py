"""The reading path (autograd → ops → model → trainer) and what it needs: only the standard library."""
