from microgpt_lab import Position, hookimpl


class NoPE(Position):
    """No positions: tokens know their order only from the causal mask (Kazemnejad et al., 2023)."""

    name = "none"


@hookimpl
def positions():
    return [NoPE]
