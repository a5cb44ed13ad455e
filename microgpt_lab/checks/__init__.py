"""What must hold for every part of a kind."""
