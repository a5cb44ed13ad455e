from microgpt_lab import hookimpl
from microgpt_lab.core.sampler import Greedy


@hookimpl
def samplers():
    return [Greedy]
