"""Write a run as one file of Python, made of the lab's own functions and classes, cut down to what it uses."""

from microgpt_lab.exchange.python_file.write import python_file

__all__ = ["python_file"]
