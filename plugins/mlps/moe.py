from microgpt_lab import Linear, Shape, above, at_least, hookimpl
from microgpt_lab.ops import convolve, max, softmax, sum, where


class MoE:
    """Mixture of experts: Σ pₑ MLPₑ(x) over the `top_k` of largest p = softmax(x Rᵀ) (Fedus et al., 2021).

    x: (…, T, C). All experts are computed, and those that are not chosen count 0: it has the results of a
    sparse mixture, but not its speed. Of equal probabilities, all are chosen.

    With `balance`, the loss of each token grows by balance · experts · Σ fₑ pₑ, where fₑ is the share of
    expert e among those that it and the tokens before it have chosen (Fedus et al. take that of a batch).

    The experts' weights are two matrices, fc1 and fc2, with the experts one above or beside the other, and an
    init or optimizer gets them as such: muon and orthogonal orthogonalize them as a whole, and xavier sees the
    width of all experts. With bias=true, the bias of fc2 is shared by all experts, and no gate multiplies it.

    experts: number of experts.
    top_k: number of experts for each token.
    ratio: width of the hidden layer of each expert / embed.
    balance: weight of the load-balancing loss.
    """

    def __init__(self, *, experts: int = 4, top_k: int = 1, ratio: float = 1.0, balance: float = 0.01):
        at_least(1, experts=experts, top_k=top_k)
        above(0, ratio=ratio)
        at_least(0, balance=balance)
        if top_k > experts:
            raise ValueError(f"top_k={top_k} must be at most experts={experts}")
        self.experts, self.top_k, self.ratio, self.balance = experts, top_k, ratio, balance
        self.aux_losses = ("balance",) if balance else ()

    def weights(self, gpt):
        C, hidden = gpt.embed, self.experts * (round(gpt.embed * self.ratio) or 1)
        return {
            "router": Shape(self.experts, C),
            "fc1": Linear(hidden, C),
            "fc2": Linear(C, hidden, "residual"),
        }

    def tables(self, gpt):
        return {"ones": [[1.0]] * gpt.block_size}

    def __call__(self, x, at, router, fc1, fc2, ones):
        p = rest = softmax(x @ router.T)  # (…, T, experts)
        for _ in range(self.top_k - 1):
            rest = where(rest < max(rest), rest, -1.0)
        chosen = at.see("chosen", where(p < max(rest), 0.0, 1.0))
        if self.aux_losses and at.collects_losses:
            used = convolve(chosen, ones, at.places)  # how often, up to each token
            at.add_loss("balance", sum(used / sum(used) * p) * (self.balance * self.experts))
        gates = at.see("gates", p * chosen)
        hidden = at.gpt.activation(at.see("pre", fc1(x))).split_heads(self.experts)
        return fc2(at.see("post", (hidden * gates.split_heads(self.experts)).merge_heads()))


@hookimpl
def mlps():
    return [MoE]
