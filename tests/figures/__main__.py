"""`python tests/figures`: write the table of recipes and that of speeds from the stored figures."""

import json
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from benchmarks.table import FIGURES, speeds
from recipes import TABLE, table
from stated import ROOT, replace_table

replace_table(TABLE, table())
stored = json.loads(FIGURES.read_text(encoding="utf-8"))
replace_table(ROOT / "docs" / "backends.md", speeds(stored["measured"]["µs per document"]["figures"]))
