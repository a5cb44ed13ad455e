"""Write a run as one C file that trains as the run did."""

from microgpt_lab.exchange.c_file.write import c_file

__all__ = ["c_file"]
