"""The rooms of the package, as its imports show them: no circle, no arrow upwards, a core of its own."""

import importlib.util
import sys
from pathlib import Path

from imports import ARROWS, LEAVES, PACKAGE, PUBLIC, ROOT, arrows, imported, reachable, room

import microgpt_lab


def test_rooms_import_only_what_the_arrows_lead_to():
    for module, others in arrows().items():
        if (source := room(module)) not in ARROWS | PUBLIC:
            continue
        for other in others:
            target = room(other)
            version = source in ("commands", "run") and target == ""
            leaf = source in LEAVES.get(target, ())
            assert target == source or version or leaf or target in reachable(source), (
                f"{module} imports {other}"
            )


def test_no_modules_import_each_other():
    graph = {module: set(others) for module, others in arrows().items()}
    graph["microgpt_lab"] = set()  # everybody's parent, for the version alone
    while leaves := [module for module, others in graph.items() if not others]:
        for module in leaves:
            del graph[module]
        for others in graph.values():
            others.difference_update(leaves)
    assert not graph, f"circles among {sorted(graph)}"


def test_the_core_imports_the_standard_library_and_itself_alone():
    for path in (PACKAGE / "core").glob("*.py"):
        for name in imported(path):
            ours = name.startswith(("microgpt_lab.core", "microgpt_lab.errors"))
            assert ours or name.partition(".")[0] in sys.stdlib_module_names, f"{path} imports {name}"


def test_only_options_and_commands_import_hydra_and_nothing_instantiates():
    for path in PACKAGE.rglob("*.py"):
        names = list(imported(path))
        if path.relative_to(PACKAGE).parts[0] not in ("options", "commands"):
            assert not [name for name in names if name.startswith(("hydra", "omegaconf"))], path
        assert "hydra.utils" not in str(names) and "instantiate(" not in path.read_text(), path


def test_plugins_use_the_public_api_and_no_other_plugin():
    public = (
        "backends",
        "ops",
        "terminal",
        "core",
        "run.curve",
        "tensors",
        "options.download",
        "options.untrusted",
        "registry.extras",
    )
    public = tuple(f"microgpt_lab.{module}" for module in public)
    for path in (ROOT / "plugins").rglob("*.py"):
        for name in imported(path):
            if name.startswith(("microgpt_lab", "plugins")):
                exported = name.removeprefix("microgpt_lab.") in microgpt_lab.__all__
                assert name == "microgpt_lab" or exported or name.startswith(public), (path, name)


def test_packages_in_examples_use_only_what_is_public():
    """docs/plugins.md lists what that is."""
    modules = {f"microgpt_lab.{name}" for name in PUBLIC}
    public = {"microgpt_lab", *(f"microgpt_lab.{name}" for name in microgpt_lab.__all__), *modules}
    files = list((ROOT / "examples").rglob("*.py"))
    assert len(files) > 8
    for path in files:
        for name in (name for name in imported(path) if name.startswith("microgpt_lab")):
            assert name in public or name.rpartition(".")[0] in modules, (path, name)


def test_the_listing_shows_the_rooms():
    files = [path for path in PACKAGE.iterdir() if path.suffix == ".py"]
    assert len(files) <= 12
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(ARROWS)
    taken = {path.name for path in ROOT.iterdir()} | set(microgpt_lab.__all__) | {"runs"}
    assert not folders & taken, "a room has the name of something else"


def test_the_reading_path_is_short():
    files = (PACKAGE / "core" / f"{name}.py" for name in ("autograd", "ops", "model", "trainer"))
    assert sum(len(file.read_text().splitlines()) for file in files) <= 520


def test_the_picture_in_the_docs_shows_these_imports():
    spec = importlib.util.spec_from_file_location("draw", Path(__file__).with_name("__main__.py"))
    draw = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(draw)
    assert draw.PICTURE.read_text(encoding="utf-8") == draw.svg(), "run: python tests/architecture"
