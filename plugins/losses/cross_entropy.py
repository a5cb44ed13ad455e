from microgpt_lab import hookimpl
from microgpt_lab.ops import cross_entropy


@hookimpl
def losses():
    return [cross_entropy]
