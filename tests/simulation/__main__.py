"""`python tests/simulation`: error rates and power of the comparison that `report` makes.

Simulates 2,000 to 10,000 sweeps of each of about 300 kinds, writes results.json and prints the table of
docs/reports.md. It takes about ten minutes on two cores.
"""

import json
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from simulate import ALL, RESULTS, simulate_all
from table import table

results = simulate_all(ALL)
RESULTS.write_text(json.dumps(results, indent=1) + "\n")
print(table(results))
