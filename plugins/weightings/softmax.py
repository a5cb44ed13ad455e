from microgpt_lab import hookimpl
from microgpt_lab.ops import softmax


@hookimpl
def weightings():
    return [softmax]
