"""Write new parts from templates: a package, or one file in a folder of plugins."""
