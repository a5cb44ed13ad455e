"""Download files once, over https, with a known checksum and a limited size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from microgpt_lab.core.reading import MAX_FILE_BYTES
from microgpt_lab.errors import UserError


def download(url: str, sha256: str, name: str) -> Path:
    """Return the path of the file in the user's cache folder. Download it if it is missing.

    UserError if the download fails, is larger than 100 MB, or does not have the checksum `sha256`.
    """
    import pooch

    folder = Path(pooch.os_cache("microgpt_lab"))
    if not url.startswith("https://"):
        raise UserError(f"{url} is refused: write an address that starts with https://")
    pooch.get_logger().setLevel("WARNING")
    fetcher: Any = fetch
    try:
        return Path(pooch.retrieve(url, f"sha256:{sha256}", fname=name, path=folder, downloader=fetcher))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{url} could not be downloaded ({type(error).__name__}): put the file at {folder / name}"
        ) from None


def fetch(url: str, output_file: Any, pooch: Any) -> None:
    """Download a file for pooch, without following redirects, up to 100 MB."""
    import requests

    with requests.get(url, stream=True, timeout=30, allow_redirects=False) as response:
        response.raise_for_status()
        with Path(output_file).open("wb") as file:
            for chunk in response.iter_content(2**16):
                if file.tell() + len(chunk) > MAX_FILE_BYTES:
                    raise ValueError(f"larger than {MAX_FILE_BYTES // 10**6} MB")
                file.write(chunk)
