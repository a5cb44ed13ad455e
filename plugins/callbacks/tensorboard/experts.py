"""How often a mixture of experts chooses each of its experts."""

from microgpt_lab import seen

DOCUMENTS = 20  # enough to see an expert that is never chosen


def expert_loads(trainer):
    """The share of tokens for which each expert is chosen, by tag, over some held-out documents.

    A mixture names what it chooses: `at.see("chosen", x)`, 1 for each expert that is chosen, else 0, of shape
    (…, T, experts). Its attribute `experts` says that it is one. The shares of a layer add up to its top_k.
    """
    if not hasattr(trainer.model.mlp, "experts"):
        return {}
    counts, tokens, weights = {}, 0, trainer.weights  # unpacked once
    for piece, _ in trainer.pieces(trainer.held_out[:DOCUMENTS])[:DOCUMENTS]:  # a window counts as one
        ids = piece[:-1]
        with seen("layer*.mlp.chosen") as inside:
            trainer.model.logits(weights, ids)
        tokens += len(ids)
        for name, chosen in inside.items():
            for expert, column in enumerate(zip(*chosen.tolist())):
                tag = f"moe/{name.partition('.')[0]}/expert{expert}"
                counts[tag] = counts.get(tag, 0) + sum(column)
    return {tag: count / tokens for tag, count in counts.items()}
