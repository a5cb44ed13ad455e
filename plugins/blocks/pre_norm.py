from microgpt_lab import hookimpl
from microgpt_lab.core.model import pre_norm


@hookimpl
def blocks():
    return [pre_norm]
