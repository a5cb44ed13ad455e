"""The lab's extras (optional dependencies), and the command that installs one."""

from __future__ import annotations

import shlex
from pathlib import Path

from microgpt_lab.registry.folders import CHECKOUT

# The modules that each extra brings. Of a module in two extras, the first is meant.
EXTRAS = {
    "board": ("tensorboard",),
    "jax": ("jax", "jaxlib"),
    "joblib": ("hydra_plugins.hydra_joblib_launcher", "joblib"),
    "optuna": ("hydra_plugins.hydra_optuna_sweeper", "optuna"),
    "ray": ("hydra_plugins.hydra_ray_launcher", "ray"),
    "report": ("jinja2", "markupsafe", "matplotlib", "pandas", "scipy"),
    "slurm": ("hydra_plugins.hydra_submitit_launcher", "submitit"),
    "torch": ("torch",),
}


def install(extra: str) -> str:
    """The command for one of the extras: from the checkout that runs, or for the installed package."""
    if not CHECKOUT:
        return f"pip install 'microgpt-lab[{extra}]'"
    folder = "." if Path.cwd() == CHECKOUT else str(CHECKOUT)
    return f"pip install -e {shlex.quote(f'{folder}[{extra}]')}"


def install_module(module: str) -> str:
    """The command for a module that cannot be imported: of the extra that brings it, else of its own name."""
    top = module.partition(".")[0]
    for extra, modules in EXTRAS.items():
        if top in modules or module in modules:
            return install(extra)
    return f"pip install {top}"
