import json
import os

import pytest
from foreign import EXPECTED, RECIPE, SHORT

from microgpt_lab.commands.train import composed
from microgpt_lab.record import Run
from microgpt_lab.run import execute
from microgpt_lab.sweep import Place


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """Three jobs of a sweep, as they are on disk when they have ended; and a recipe in a lab's home."""
    folder = tmp_path_factory.mktemp("lab") / "sweep"
    for seed in range(3):
        overrides = [*SHORT, f"seed={seed}"]
        run = Run(composed(overrides), folder / f"seed={seed}", overrides)
        run.place = Place(folder, run.config)
        execute(run)
    recipe = folder.parent / "home" / "experiments" / "theirs"
    recipe.mkdir(parents=True)
    (recipe / "recipe.yaml").write_text(RECIPE)
    (recipe / "expected.json").write_text(json.dumps(EXPECTED))
    before = os.environ.get("MICROGPT_LAB_HOME")
    os.environ["MICROGPT_LAB_HOME"] = str(folder.parent / "home")
    yield folder
    os.environ.pop("MICROGPT_LAB_HOME") if before is None else os.environ.update(MICROGPT_LAB_HOME=before)
