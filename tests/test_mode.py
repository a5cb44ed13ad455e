"""Whether a command is a run or a sweep is what Hydra says, which composes the configuration to find out."""

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra

from microgpt_lab.commands.multirun import mode
from microgpt_lab.options.compose import register
from microgpt_lab.registry.folders import CONF

SWEEP = "# @package _global_\nhydra:\n  mode: MULTIRUN\n"


@pytest.fixture
def hydras_own(tmp_path, monkeypatch):
    """The mode of overrides as Hydra finds it, beside the one that we find. The user has a recipe `mine`."""
    monkeypatch.setenv("MICROGPT_LAB_HOME", str(tmp_path))
    (tmp_path / "experiments" / "mine").mkdir(parents=True)
    (tmp_path / "experiments" / "mine" / "recipe.yaml").write_text(SWEEP)

    def found(overrides):
        register()
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            of = GlobalHydra.instance().hydra
            return tuple(each(of, "config", overrides) for each in (mode.composed_mode, mode.mode))

    return found


@pytest.mark.parametrize(
    ("words", "sets"),
    [
        ("layers=2 hydra.run.dir=here", False),
        ("hydra/launcher=basic", False),
        ("++hydra.mode=MULTIRUN layers=2", True),
        ("experiment=mine hydra.mode=RUN", True),
    ],
)
def test_a_mode_is_the_one_of_the_composed_configuration(hydras_own, words, sets):
    theirs, ours = hydras_own(words.split())
    assert ours == theirs and (theirs is not None) == sets


def test_a_file_of_the_user_may_set_the_mode(hydras_own, tmp_path):
    (tmp_path / "conf" / "optimizer").mkdir(parents=True)
    (tmp_path / "conf" / "optimizer" / "swept.yaml").write_text(SWEEP + "optimizer: {name: adam}\n")
    theirs, ours = hydras_own(["optimizer=swept"])
    assert ours == theirs is not None


def test_a_run_is_composed_once(tmp_path, monkeypatch):
    """What does not set a mode needs no configuration to find it."""
    monkeypatch.setattr(mode, "composed_mode", None)
    assert mode.mode(None, "config", ["layers=2", "hydra.run.dir=here"]) is None
    with pytest.raises(TypeError):
        mode.mode(None, "config", ["experiment=mine"])
