from microgpt_lab import hookimpl
from microgpt_lab.core.model import normal


@hookimpl
def inits():
    return [normal]
