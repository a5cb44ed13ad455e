"""Arguments of commands that tests share."""


def varied(arguments):
    """Arguments that many tests share, followed by others: of two with one key, the last."""
    last = {a.partition("=")[0] if "=" in a and a[0] != "-" else i: i for i, a in enumerate(arguments)}
    return tuple(arguments[i] for i in sorted(last.values()))
