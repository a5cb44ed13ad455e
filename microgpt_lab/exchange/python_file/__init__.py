"""Write a run as one file of Python, made of the lab's own code, cut down to what it uses."""
