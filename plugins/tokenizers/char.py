from microgpt_lab import hookimpl
from microgpt_lab.core.tokenizer import Char


@hookimpl
def tokenizers():
    return [Char]
