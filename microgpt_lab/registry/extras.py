"""Extras (optional dependencies) and the commands that install them."""

from __future__ import annotations

import shlex
from pathlib import Path

from microgpt_lab.registry.folders import CHECKOUT

# The modules that each extra installs. If two extras install a module, the first one is suggested.
EXTRAS = {
    "board": ("tensorboard",),
    "c": ("ziglang",),
    "datasets": ("datasets", "huggingface_hub"),
    "export": ("safetensors", "tokenizers"),
    "jax": ("jax", "jaxlib"),
    "joblib": ("hydra_plugins.hydra_joblib_launcher", "joblib"),
    "optuna": ("hydra_plugins.hydra_optuna_sweeper", "optuna"),
    "ray": ("hydra_plugins.hydra_ray_launcher", "ray"),
    "report": ("jinja2", "markupsafe", "matplotlib", "pandas", "scipy"),
    "slurm": ("hydra_plugins.hydra_submitit_launcher", "submitit"),
    "torch": ("torch",),
    "transformers": ("transformers",),
}


def install(extra: str) -> str:
    """Return the command that installs an extra, into the checkout or for the installed package."""
    if not CHECKOUT:
        return f"pip install 'microgpt-lab[{extra}]'"
    folder = "." if Path.cwd() == CHECKOUT else str(CHECKOUT)
    return f"pip install -e {shlex.quote(f'{folder}[{extra}]')}"


def install_module(module: str) -> str:
    """Return the command that installs a missing module: its extra, or else a package of the same name."""
    top = module.partition(".")[0]
    for extra, modules in EXTRAS.items():
        if top in modules or module in modules:
            return install(extra)
    return f"pip install {top}"
