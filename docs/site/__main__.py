"""Build the documentation site: `python docs/site` writes build/site."""

import sys

from assembly import ROOT
from making import make

sys.exit(make(ROOT / "build"))
