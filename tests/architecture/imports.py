"""Read which modules of the package import which, and which room each belongs to."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "microgpt_lab"
# A room may import the rooms that these arrows lead to, directly or through others.
ARROWS = {
    "api": {"commands"},
    "commands": {"report", "listing", "checks", "exchange", "inspection", "authoring"},
    "authoring": {"options"},
    "report": {"sweeps"},
    "inspection": {"run"},
    "listing": {"sweeps"},
    "checks": {"run"},
    "sweeps": {"run"},
    "run": {"exchange"},
    "exchange": {"options", "tensors"},
    "options": {"registry"},
    "registry": {"core"},
    "tensors": {"core"},
    "core": set(),
}
# Files beside the rooms: three public names, and two files that others may import.
PUBLIC = {"backends": {"tensors"}, "ops": {"core"}, "testing": {"checks"}}
LEAVES = {"errors": set(ARROWS), "terminal": set(ARROWS) - {"core"}}


def imported(path):
    """Every name that a file imports, also inside functions and for type checkers only."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:  # a plugin that is a package imports its own files
                own = {"plugins", "examples"} & {*path.parts} and node.level == 1
                assert own or is_allowed(path, node), f"{path}: relative import"
                continue
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_allowed(path, node):
    """Whether it is the one import between plugins: the c backend computes prompts with numpy's Array."""
    return "backends/c/" in path.as_posix() and node.level == 2 and node.module == "numpy.array"


def arrows():
    """Each module of the package, with the modules that it imports. Templates of parts are no modules."""
    paths = (file for file in PACKAGE.rglob("*.py") if "templates" not in file.parts)
    files = {".".join(file.relative_to(ROOT).with_suffix("").parts): file for file in paths}
    files = {name.removesuffix(".__init__"): file for name, file in files.items()}
    return {name: set(imported(file)) & files.keys() - {name} for name, file in files.items()}


def room(module):
    """The folder or file at the top of the package that a module belongs to; '' for the package itself."""
    return module.split(".")[1] if "." in module else ""


def reachable(name):
    """The rooms that a room may import."""
    return set().union(*({other} | reachable(other) for other in (ARROWS | PUBLIC)[name]))


def room_arrows():
    """Each room that is a folder, with the other folders that it imports."""
    rooms = {path.name: set() for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    for module, others in arrows().items():
        if (source := room(module)) in rooms:
            rooms[source] |= {room(other) for other in others if room(other) in rooms} - {source}
    return rooms
