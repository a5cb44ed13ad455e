from microgpt_lab import hookimpl
from microgpt_lab.core.model import Learned


@hookimpl
def positions():
    return [Learned]
