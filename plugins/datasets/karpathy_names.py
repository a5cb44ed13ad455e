from microgpt_lab import UserError, hookimpl
from microgpt_lab.core.reading import lines
from microgpt_lab.options.download import download

URL = "https://raw.githubusercontent.com/karpathy/makemore/988aa59/names.txt"
SHA256 = "0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d"


def karpathy_names(*, path: str = ""):
    """The 32,033 names of makemore (Karpathy, 2022), downloaded once, or read from `path`.

    path: a local copy of the file. Without it, the file is downloaded.
    """
    if path:
        return lines(path)
    try:
        return lines(download(URL, SHA256, "karpathy_names.txt"))
    except UserError as error:
        raise UserError(
            f"dataset=karpathy_names: {error}, or give a local copy with dataset.path=FILE"
        ) from None


@hookimpl
def datasets():
    return [karpathy_names]
