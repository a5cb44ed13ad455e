from microgpt_lab import Linear, above, hookimpl


class GLU:
    """Gated linear unit: (f(x Gᵀ) · x Uᵀ) Dᵀ, with the run's activation f (Shazeer, 2020). x: (…, T, C).

    It is SwiGLU with activation=silu, GEGLU with gelu, ReGLU with relu.

    ratio: width of the hidden layer / embed; 8/3 makes as many parameters as an MLP of ratio 4.
    """

    def __init__(self, *, ratio: float = 8 / 3):
        above(0, ratio=ratio)
        self.ratio = ratio

    def weights(self, gpt):
        C, hidden = gpt.embed, max(1, round(gpt.embed * self.ratio))
        return {"gate": Linear(hidden, C), "up": Linear(hidden, C), "down": Linear(C, hidden, "residual")}

    def __call__(self, x, at, gate, up, down):
        active = at.gpt.activation(at.see("pre", gate(x)))
        return down(at.see("post", active * up(x)))


@hookimpl
def mlps():
    return [GLU]
