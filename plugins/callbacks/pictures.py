import struct
import zlib

from microgpt_lab import hookimpl, seen

DOCUMENTS = 20
WIDE = 1200  # pixels of a picture, at most about
PAPER, BLUE, RED, GAP = (244, 244, 240), (31, 95, 168), (190, 50, 40), (255, 255, 255)
APART = bytes(GAP) * 8  # pixels between two heads


class Pictures:
    """Show attention patterns in TensorBoard, as an image of each layer, at each evaluation.

    The image has a square for each head: row t is what token t looks at, and a darker cell is more. It is of
    the longest of the first 20 held-out documents. Negative weights (attention=differential) are red.
    """

    def check(self, run, trainer):
        if "tensorboard" not in run.config["callback"]:
            raise ValueError("only TensorBoard shows the pictures: add tensorboard to callback=[…]")
        if not patterns(trainer, [trainer.corpus.bos]):
            name = run.config["attention"]["name"]
            raise ValueError(f"attention={name} has no attention weights to show")

    def run_started(self, trainer):
        self.trainer = trainer

    def evaluated(self, step):
        pieces = self.trainer.pieces(self.trainer.held_out[:DOCUMENTS])[:DOCUMENTS]
        longest, _ = max(pieces, key=lambda piece: len(piece[0]))
        found = patterns(self.trainer, longest[:-1])
        images = {f"model/attention/{layer}": png(drawn(squares(x))) for layer, x in found.items()}
        self.trainer.watch("pictured", step=step, images=images)


def patterns(trainer, ids):
    """The attention weights of each layer, (heads, T, T)."""
    with seen("*.pattern") as inside:
        trainer.model.logits(trainer.weights, ids)
    return {name.partition(".")[0]: x for name, x in inside.items()}


def squares(pattern):
    """The rows of each head, of attention weights (heads, T, T)."""
    rows, length = pattern.tolist(), pattern.shape[-1]
    return [rows[start : start + length] for start in range(0, len(rows), length)]


def drawn(heads):
    """The pixels of the heads, side by side, row by row: three bytes each, red, green and blue."""
    length = len(heads[0])
    cell = max(1, min(16, WIDE // len(heads) // length))
    border = int(cell > 3)
    lines = []
    for t in range(length):
        line = APART.join(
            b"".join(
                bytes(colour(share) if s <= t else GAP) * (cell - border) + bytes(GAP) * border
                for s, share in enumerate(head[t])
            )
            for head in heads
        )
        lines += [line] * (cell - border) + [bytes(GAP) * (len(line) // 3)] * border
    return lines


def colour(share):
    """From paper, 0, to blue, 1; or to red, -1."""
    most, share = (BLUE if share > 0 else RED), min(1.0, abs(share))
    return tuple(round(low + (high - low) * share) for low, high in zip(PAPER, most))


def png(lines):
    """A PNG file of rows of pixels, of three bytes each (ISO/IEC 15948)."""
    header = struct.pack(">IIBBBBB", len(lines[0]) // 3, len(lines), 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + line for line in lines))
    chunks = (b"IHDR", header), (b"IDAT", pixels), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


@hookimpl
def callbacks():
    return [Pictures]
