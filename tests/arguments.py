"""Arguments of commands that tests share."""


def keep_last(arguments):
    """Keep only the last of the arguments with the same key, so that a test can replace shared arguments."""
    last = {a.partition("=")[0] if "=" in a and a[0] != "-" else i: i for i, a in enumerate(arguments)}
    return tuple(arguments[i] for i in sorted(last.values()))
