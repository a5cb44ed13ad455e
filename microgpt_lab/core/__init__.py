"""The reading path, autograd → ops → model → trainer, and what it needs: the standard library only."""
