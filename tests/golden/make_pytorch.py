"""Compute the reference figures of PyTorch's schedulers, optimizers and random permutation.

`python tests/golden/make_pytorch.py` writes pytorch.json beside this file. It needs PyTorch (the committed
figures are from version 2.13). All numbers have double precision. Every constant is explicit because
PyTorch's defaults differ from the lab's.
"""

import json
from pathlib import Path

FIGURES = Path(__file__).with_name("pytorch.json")

STEPS, RATE = 12, 0.3  # number of steps of the schedules; learning rate, of the optimizers RATE / t at step t

# Six weights: gradients that change sign, one that is always 0, two that are as small as eps. The magnitudes
# are such that betas decide signs.
START = [0.7, -1.5, 2.0, 0.05, -0.3, 1.1]
GRADIENTS = [
    [3.0, -0.2, 0.0, 1.0, 2e-8, 3e-10],
    [-1.0, 0.5, 0.0, 2.0, -1e-8, 1e-10],
    [-0.9, -0.4, 0.0, -4.0, 3e-8, -2e-10],
    [2.5, 0.1, 0.0, -0.3, 1e-9, 1e-10],
    [-6.0, 0.3, 0.0, 0.2, -2e-8, 5e-11],
]

MATRIX = [[0.5, -0.2, 0.1, 0.9], [0.3, 0.8, -0.7, 0.2], [-0.4, 0.6, 0.05, -1.0]]
MATRIX_GRADIENTS = [
    [[1.0, -2.0, 0.5, 0.3], [0.2, 0.7, -1.5, 0.9], [-0.8, 0.1, 0.4, 1.2]],
    [[-0.6, 0.4, 1.1, -0.2], [1.3, -0.9, 0.2, 0.5], [0.3, 0.8, -0.1, -0.7]],
    [[0.9, 0.3, -0.4, 1.0], [-0.5, 1.2, 0.6, -1.1], [0.7, -0.2, 0.8, 0.1]],
]

# A scheduler of the lab with its options, and PyTorch's scheduler with the same meaning.
SCHEDULES = [
    ("linear", {}, "LinearLR", {"start_factor": 1.0, "end_factor": 0.0, "total_iters": STEPS}),
    ("linear", {"final": 0.2}, "LinearLR", {"start_factor": 1.0, "end_factor": 0.2, "total_iters": STEPS}),
    ("cosine", {}, "CosineAnnealingLR", {"T_max": STEPS, "eta_min": 0.0}),
    ("cosine", {"final": 0.25}, "CosineAnnealingLR", {"T_max": STEPS, "eta_min": 0.25 * RATE}),
    ("exponential", {}, "ExponentialLR", {"gamma": 0.01 ** (1 / STEPS)}),
    ("exponential", {"final": 0.3}, "ExponentialLR", {"gamma": 0.3 ** (1 / STEPS)}),
    ("step", {"every": 0.25, "gamma": 0.6}, "StepLR", {"step_size": 3, "gamma": 0.6}),
    ("step", {"every": 1 / 3}, "StepLR", {"step_size": 4, "gamma": 0.1}),
    # Warmup over the first 4 of 12 steps: 1/5, 2/5, 3/5, 4/5, 1. PyTorch counts both ends.
    ("constant", {"warmup": 1 / 3}, "LinearLR", {"start_factor": 0.2, "end_factor": 1.0, "total_iters": 4}),
    # PyTorch counts both ends of the cycle: its last step is the lab's step STEPS, which does not exist.
    (
        "one_cycle",
        {"peak": 0.25},
        "OneCycleLR",
        {
            "max_lr": RATE,
            "total_steps": STEPS + 1,
            "pct_start": 4 / 13,
            "div_factor": 25,
            "final_div_factor": 400,
        },
    ),
]

BETAS = (0.6, 0.7)
OPTIMIZERS = [
    ("sgd", {}, "SGD", {}),
    ("sgd", {"momentum": 0.6}, "SGD", {"momentum": 0.6}),
    ("sgd", {"momentum": 0.6, "nesterov": True}, "SGD", {"momentum": 0.6, "nesterov": True}),
    ("adagrad", {}, "Adagrad", {"eps": 1e-10}),
    ("adagrad", {"eps": 0.5}, "Adagrad", {"eps": 0.5}),
    ("rmsprop", {}, "RMSprop", {"alpha": 0.99, "eps": 1e-8}),
    ("rmsprop", {"rho": 0.7, "eps": 0.5}, "RMSprop", {"alpha": 0.7, "eps": 0.5}),
    ("adam", {}, "Adam", {"betas": (0.85, 0.99), "eps": 1e-8}),
    ("adam", {"beta1": 0.6, "beta2": 0.7, "eps": 0.5}, "Adam", {"betas": BETAS, "eps": 0.5}),
    ("adamw", {}, "AdamW", {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01}),
    (
        "adamw",
        {"beta1": 0.6, "beta2": 0.7, "eps": 0.5, "weight_decay": 0.4},
        "AdamW",
        {"betas": BETAS, "eps": 0.5, "weight_decay": 0.4},
    ),
]


def schedule(name, options):
    """Factor of the learning rate at each step."""
    import torch

    optimizer = torch.optim.SGD([torch.zeros(1, dtype=torch.float64)], lr=RATE)
    scheduler = getattr(torch.optim.lr_scheduler, name)(optimizer, **options)
    factors = []
    for _ in range(STEPS):
        factors.append(optimizer.param_groups[0]["lr"] / RATE)
        optimizer.step()
        scheduler.step()
    return factors


def trajectory(name, options, start, gradients):
    """Weights after each step."""
    import torch

    w = torch.tensor(start, dtype=torch.float64)
    optimizer = getattr(torch.optim, name)([w], lr=RATE, **options)
    found = []
    for step, g in enumerate(gradients):
        optimizer.param_groups[0]["lr"] = RATE / (step + 1)
        w.grad = torch.tensor(g, dtype=torch.float64)
        optimizer.step()
        found.append(w.tolist())
    return found


def randperm(n, seed):
    import torch

    torch.manual_seed(seed)
    return torch.randperm(n).tolist()


def make():
    muon = {"momentum": 0.95, "nesterov": True, "weight_decay": 0.0}
    return {
        "schedules": [[part, options, schedule(*theirs)] for part, options, *theirs in SCHEDULES],
        "optimizers": [
            [part, options, trajectory(*theirs, START, GRADIENTS)] for part, options, *theirs in OPTIMIZERS
        ],
        "randperm": [
            [n, seed, randperm(n, seed)] for n, seed in ((2, 0), (2, 1), (20, 3407), (10, 2**32 + 5))
        ],
        "muon": trajectory("Muon", muon, MATRIX, MATRIX_GRADIENTS),
    }


if __name__ == "__main__":
    FIGURES.write_text(json.dumps(make(), indent=1) + "\n")
