from pathlib import Path

from microgpt_lab import UserError, hookimpl
from microgpt_lab.data import lines

URL = "https://raw.githubusercontent.com/karpathy/makemore/988aa59/names.txt"
SHA256 = "0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d"


def karpathy_names(*, path: str = ""):
    """The 32,033 names of makemore (Karpathy, 2022), downloaded once, or read from `path`."""
    if path:
        return lines(path)
    import pooch

    pooch.get_logger().setLevel("WARNING")
    folder = Path(pooch.os_cache("microgpt_lab"))
    try:
        return lines(pooch.retrieve(URL, f"sha256:{SHA256}", fname="karpathy_names.txt", path=folder))
    except (OSError, ValueError) as error:
        raise UserError(
            f"dataset=karpathy_names could not be downloaded ({type(error).__name__}): put the file {URL} "
            f"at {folder / 'karpathy_names.txt'}, or name a copy with dataset.path=FILE"
        ) from None


@hookimpl
def datasets():
    return [karpathy_names]
