"""`python tests/figures`: write the table of experiments/README.md from the recipes."""

from recipes import TABLE, replace_table, table

replace_table(TABLE, table())
