from pathlib import Path

from microgpt_lab import Stream, UserError, hookimpl
from microgpt_lab.core.reading import read
from microgpt_lab.options.download import download

COMMIT = "6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e"
URL = f"https://raw.githubusercontent.com/karpathy/char-rnn/{COMMIT}/data/tinyshakespeare/input.txt"
SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"


def tiny_shakespeare(*, path: str = ""):
    """The 1,115,394 characters of char-rnn (Karpathy, 2015) and nanoGPT, downloaded once, or from `path`.

    path: a local copy of the file. Without it, the file is downloaded.
    """
    try:
        return Stream([read(Path(path) if path else download(URL, SHA256, "tiny_shakespeare.txt"))])
    except UserError as error:
        raise UserError(
            f"dataset=tiny_shakespeare: {error}, or give a local copy with dataset.path=FILE"
        ) from None


@hookimpl
def datasets():
    return [tiny_shakespeare]
