from microgpt_lab import hookimpl
from microgpt_lab.core.model import Multihead


@hookimpl
def attentions():
    return [Multihead]
