"""`python tests/simulation`: error rates and power of the comparison that `report` makes.

Simulates 2,000 to 10,000 sweeps of each of about 300 kinds, writes results.json and prints the table of
docs/reports.md. It takes about ten minutes on two cores. `python tests/simulation until tune` simulates only
the kinds with one of these words in their names.
"""

import json
import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

from simulate import ALL, RESULTS, simulate_all
from table import table

words = sys.argv[1:]
wanted = [cell for cell in ALL if not words or any(word in str(cell) for word in words)]
known = json.loads(RESULTS.read_text()) | simulate_all(wanted)
results = {name: known[name] for name in map(str, ALL)}
RESULTS.write_text(json.dumps(results, indent=1) + "\n")
print(table(results))
