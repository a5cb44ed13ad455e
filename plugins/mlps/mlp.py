from microgpt_lab import hookimpl
from microgpt_lab.core.model import MLP


@hookimpl
def mlps():
    return [MLP]
