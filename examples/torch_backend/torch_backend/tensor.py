"""The lab's array protocol (docs/backends.md there, "The protocol") on PyTorch."""

from functools import lru_cache

import torch
from torch.nn.functional import embedding

from microgpt_lab.backends import preview

FUNCTIONS = {
    "exp": torch.exp,
    "log": torch.log,
    "sqrt": torch.sqrt,
    "tanh": torch.tanh,
    "erf": torch.erf,
    "sigmoid": torch.sigmoid,
    "softplus": lambda x: torch.logaddexp(x, x.new_zeros(())),  # PyTorch's is x above 20
    "relu": torch.relu,
    "abs": torch.abs,
}


class Tensor:
    """Numbers (…, T, C), a tensor of PyTorch in `data`, which remembers how it was computed if it must."""

    __slots__ = ("data",)
    __array_ufunc__ = None  # so that `a * x`, for a number `a` of NumPy's, calls __rmul__ here

    def __init__(self, data):
        self.data = data

    def __add__(self, other):
        return Tensor(self.data + raw(other))

    def __sub__(self, other):
        return Tensor(self.data - raw(other))

    def __rsub__(self, other):
        return Tensor(raw(other) - self.data)

    def __mul__(self, other):
        return Tensor(self.data * raw(other))

    def __truediv__(self, other):
        return Tensor(self.data / raw(other))

    def __rtruediv__(self, other):
        return Tensor(raw(other) / self.data)

    def __neg__(self):
        return Tensor(-self.data)

    __radd__, __rmul__ = __add__, __mul__

    def __pow__(self, n):
        return Tensor(self.data ** float(n))

    def __gt__(self, other):
        return Condition(self.data > raw(other), self.data.dtype)

    def __lt__(self, other):
        return Condition(self.data < raw(other), self.data.dtype)

    def __eq__(self, other):
        raise TypeError("tensors have no ==: use where(condition, a, b) with < or >")

    __hash__ = object.__hash__

    def __matmul__(self, other):
        return Tensor(self.data @ other.data)

    @property
    def T(self):
        return Tensor(self.data.mT)

    @property
    def shape(self):
        return tuple(self.data.shape)

    def __getitem__(self, columns):
        return Tensor(self.data[..., columns])

    def concat(self, *others):
        return Tensor(torch.cat([x.data for x in (self, *others)], -1))

    def reshape(self, height, width):
        return Tensor(self.data.reshape(height, width))

    def split_heads(self, heads):
        """(…, T, C) to (…, heads, T, C / heads)."""
        return Tensor(self.data.unflatten(-1, (heads, -1)).transpose(-2, -3))

    def merge_heads(self):
        """(…, heads, T, D) to (…, T, heads * D)."""
        return Tensor(self.data.transpose(-2, -3).flatten(-2))

    def apply(self, name):
        return Tensor(FUNCTIONS[name](self.data))

    def sum(self):
        return Tensor(self.data.sum(-1, keepdim=True))

    def max(self):
        return self.pick(self.data.argmax(-1))  # of equal numbers, the gradient flows to the first

    def logsumexp(self):
        return Tensor(self.data.logsumexp(-1, keepdim=True))

    def softmax(self):
        return Tensor(self.data.softmax(-1))

    def total(self):
        return Tensor(self.data.sum().reshape(1, 1))

    def norm(self):
        """The square root of the sum of squares, (1, 1), which no gradient reaches."""
        return Tensor(torch.linalg.vector_norm(self.data.detach()).reshape(1, 1))

    def causal(self, window=0):
        """-inf at what lies in the future: of S columns, row t of T keeps the first S - T + t + 1, or of
        these the last `window`."""
        return Tensor(self.data + hidden(*self.shape[-2:], window, self.data.dtype, self.data.device))

    def take(self, ids):
        """Rows by index or at places: (T, C), or (B, T, C) for ids (B, T)."""
        if hasattr(ids, "start"):  # places
            return Tensor(self.data[ids.start : ids.stop])
        return Tensor(
            embedding(self.index(ids), self.data)
        )  # its gradient on CUDA has the same bits each time

    def pick(self, ids):
        """The number ids[…, t] of each row: (…, T, 1)."""
        return Tensor(self.data.gather(-1, self.index(ids)[..., None]))

    def index(self, ids):
        return torch.as_tensor(ids, device=self.data.device)

    def by_distance(self, places):
        """(N, heads) to (heads, T, S): row t - s where a token at t looks back at one at s, else 0."""
        steps = torch.arange(places.stop, device=self.data.device)
        apart = steps[places.start :, None] - steps
        near = (apart >= 0) & (apart < len(self.data))
        return Tensor((embedding(apart * near, self.data) * near[..., None]).movedim(-1, 0))

    def table(self, rows):
        """A table as a matrix of constants."""
        return Tensor(constants(rows, self.data.dtype, self.data.device))

    def tolist(self):
        return self.data.detach().reshape(-1, self.shape[-1]).tolist()

    def item(self):
        return self.data.item()

    def __repr__(self):
        return preview("Tensor", self.shape, self.data.flatten()[:4].tolist())


class Condition:
    """A comparison. `where` is its only use."""

    def __init__(self, data, dtype):
        self.data, self.dtype = data, dtype

    def where(self, a, b):
        """`a` where it holds, `b` elsewhere."""
        a, b = (torch.as_tensor(raw(x), dtype=self.dtype, device=self.data.device) for x in (a, b))
        return Tensor(torch.where(self.data, a, b))

    def __bool__(self):
        raise TypeError("a comparison of tensors is neither true nor false: use where(condition, a, b)")


def raw(x):
    """Return the numbers of a tensor, or a number unchanged. TypeError for a comparison."""
    if isinstance(x, Condition):
        raise TypeError("a comparison is not a number: use where(condition, a, b)")
    return x.data if isinstance(x, Tensor) else x


@lru_cache(64)
def constants(rows, dtype, device):
    return torch.tensor(rows, dtype=dtype, device=device)


@lru_cache(64)
def hidden(height, width, window, dtype, device):
    """0 at what each row may see, (T, S), and -inf elsewhere."""
    ahead = torch.arange(width) - torch.arange(width - height, width)[:, None]
    visible = (ahead <= 0) & (ahead > -(window or width))
    return torch.zeros(height, width, dtype=dtype).masked_fill(~visible, -torch.inf).to(device)
