"""How parts are found, checked and built."""
