"""`python -m microgpt_lab tune KEY… key=value…`: compare settings, each at its best value of a key."""

from __future__ import annotations

from microgpt_lab.commands import KEY_VALUE, Parser, train
from microgpt_lab.errors import UserError


def main(arguments: list[str]) -> int:
    parser = Parser(
        "tune",
        description="Find each setting's best value of one or more keys on a few seeds, then compare the "
        "settings at these values on other seeds, in one sweep. For example: tune optimizer.lr "
        "optimizer.lr=0.003,0.01,0.03 activation=gelu,relu 'seed=range(10)'",
        epilog="hydra.sweeper.tuning_seeds=3 is the number of seeds to choose on. The same command with the "
        "same hydra.sweep.dir runs only what is missing.",
    )
    parser.add_argument("keys", nargs="+", metavar="KEY", help="a key to tune, such as optimizer.lr")
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar=KEY_VALUE,
        help="values to try, settings to compare, and seeds, as in a sweep with -m",
    )
    parser.add_argument(
        "--dry", action="store_true", help="show the number of runs, and how long they would take"
    )
    options = parser.parse_args(arguments)
    words = [*options.keys, *options.overrides]
    keys = [word for word in words if "=" not in word]
    if not keys:
        raise UserError("tune needs a key: tune optimizer.lr optimizer.lr=0.003,0.01,0.03")
    overrides = [word for word in words if "=" in word]
    flags = ["--dry"] if options.dry else []
    return train.main(["-m", *flags, f"hydra.sweeper.tune=[{','.join(keys)}]", *overrides])
