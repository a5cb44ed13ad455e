from microgpt_lab import hookimpl
from microgpt_lab.core.sampler import Multinomial


@hookimpl
def samplers():
    return [Multinomial]
