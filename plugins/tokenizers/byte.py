from microgpt_lab import Tokenizer, hookimpl
from microgpt_lab.core.tokenizer import unknown_characters


def byte_name(byte):
    """Return an ASCII character as it is, if it can be printed, and another byte as in `<0xE2>`."""
    return chr(byte) if 32 <= byte < 127 else f"<0x{byte:02X}>"


class Byte(Tokenizer):
    """A token for each of the 256 bytes of UTF-8, so that every text can be encoded.

    A character outside of ASCII is 2 to 4 tokens. There is nothing to learn. A model may generate bytes that
    are not valid UTF-8: they are decoded as U+FFFD.
    """

    tokens = tuple(map(byte_name, range(256)))

    def encode(self, text):
        try:
            return list(text.encode())
        except UnicodeEncodeError as error:  # half of a surrogate pair, which UTF-8 does not have
            wrong = text[error.start : error.end]
            raise ValueError(unknown_characters(wrong, "")) from None

    def decode(self, ids):
        return bytes(ids).decode(errors="replace")

    def length(self, text):
        return len(text) if text.isascii() else len(self.encode(text))

    def load_state_dict(self, state):
        if state["tokens"] != list(self.tokens):
            raise ValueError("its tokens are not the 256 bytes")


@hookimpl
def tokenizers():
    return [Byte]
