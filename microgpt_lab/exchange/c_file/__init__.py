"""Write a run as one C file that trains as the run did."""
