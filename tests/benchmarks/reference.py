"""The published algorithm in its own style, with one graph node for each sum and each product.

It is written from the description of microgpt.py (Karpathy, 2026). Benchmarks compare the speed with it, and
tests compare the losses for settings without a golden file.
"""

from __future__ import annotations

import math
import random


class Node:
    __slots__ = ("above", "data", "grad", "slopes")

    def __init__(self, data, parents=(), local_grads=()):
        self.data, self.grad, self.above, self.slopes = data, 0, parents, local_grads

    def __add__(self, other):
        other = other if isinstance(other, Node) else Node(other)
        return Node(self.data + other.data, (self, other), (1, 1))

    def __mul__(self, other):
        other = other if isinstance(other, Node) else Node(other)
        return Node(self.data * other.data, (self, other), (other.data, self.data))

    def __pow__(self, n):
        return Node(self.data**n, (self,), (n * self.data ** (n - 1),))

    def exp(self):
        return Node(math.exp(self.data), (self,), (math.exp(self.data),))

    def log(self):
        return Node(math.log(self.data), (self,), (1 / self.data,))

    def relu(self):
        return Node(max(0, self.data), (self,), (float(self.data > 0),))

    def __neg__(self):
        return self * -1

    def __sub__(self, other):
        return self + (-other)

    def __truediv__(self, other):
        return self * other**-1

    __radd__ = __add__
    __rmul__ = __mul__

    def __rsub__(self, other):
        return (-self) + other

    def backward(self):
        order, seen = [], set()

        def visit(node):
            if node not in seen:
                seen.add(node)
                for parent in node.above:
                    visit(parent)
                order.append(node)

        visit(self)
        self.grad = 1
        for node in reversed(order):
            for parent, local_grad in zip(node.above, node.slopes):
                parent.grad += local_grad * node.grad


def linear(x, w):
    return [sum(wi * xi for wi, xi in zip(row, x)) for row in w]


def softmax(logits):
    largest = max(value.data for value in logits)
    exps = [(value - largest).exp() for value in logits]
    total = sum(exps)
    return [e / total for e in exps]


def rmsnorm(x):
    mean_square = sum(xi * xi for xi in x) / len(x)
    scale = (mean_square + 1e-5) ** -0.5
    return [xi * scale for xi in x]


class Reference:
    """Model, data and optimizer of microgpt.py; the arguments are its constants.

    `train_step()` trains one step and returns its loss. `schedule(t)` is the factor of the learning rate
    after the fraction t of the steps.
    """

    def __init__(
        self,
        docs: list[str],
        *,
        layers=1,
        embed=16,
        heads=4,
        block_size=16,
        steps=1000,
        seed=42,
        std=0.08,
        zero=False,
        lr=0.01,
        betas=(0.85, 0.99),
        activation=Node.relu,
        schedule=lambda t: 1 - t,
    ):
        rng = random.Random(seed)
        self.docs = list(docs)
        rng.shuffle(self.docs)
        self.chars = sorted(set("".join(docs)))
        self.bos = len(self.chars)
        self.layers, self.heads, self.head_dim, self.block_size = layers, heads, embed // heads, block_size
        self.steps, self.lr, self.schedule, self.betas, self.step = steps, lr, schedule, betas, 0
        self.activation = activation

        def matrix(out, in_, std=std):
            return [[Node(rng.gauss(0, std)) for _ in range(in_)] for _ in range(out)]

        vocab, projection_std = self.bos + 1, 0 if zero else std
        self.w = {
            "wte": matrix(vocab, embed),
            "wpe": matrix(block_size, embed),
            "lm_head": matrix(vocab, embed),
        }
        for i in range(layers):
            for name in ("wq", "wk", "wv"):
                self.w[f"{name}{i}"] = matrix(embed, embed)
            self.w[f"wo{i}"] = matrix(embed, embed, projection_std)
            self.w[f"fc1{i}"] = matrix(4 * embed, embed)
            self.w[f"fc2{i}"] = matrix(embed, 4 * embed, projection_std)
        self.params = [p for m in self.w.values() for row in m for p in row]
        self.m, self.v = [0.0] * len(self.params), [0.0] * len(self.params)

    def logits(self, token, position, keys, values):
        w, dim = self.w, self.head_dim
        x = rmsnorm([t + p for t, p in zip(w["wte"][token], w["wpe"][position])])
        for i in range(self.layers):
            residual, x = x, rmsnorm(x)
            q, k, v = (linear(x, w[f"{name}{i}"]) for name in ("wq", "wk", "wv"))
            keys[i].append(k)
            values[i].append(v)
            joined = []
            for start in range(0, len(x), dim):
                part = slice(start, start + dim)
                scores = [sum(a * b for a, b in zip(q[part], key[part])) / dim**0.5 for key in keys[i]]
                weights = softmax(scores)
                joined += [
                    sum(weights[t] * values[i][t][j] for t in range(len(weights)))
                    for j in range(start, start + dim)
                ]
            x = [a + b for a, b in zip(linear(joined, w[f"wo{i}"]), residual)]
            residual, x = x, linear(rmsnorm(x), w[f"fc1{i}"])
            x = linear([self.activation(xi) for xi in x], w[f"fc2{i}"])
            x = [a + b for a, b in zip(x, residual)]
        return linear(x, w["lm_head"])

    def train_step(self) -> float:
        doc = self.docs[self.step % len(self.docs)]
        tokens = [self.bos, *(self.chars.index(c) for c in doc), self.bos]
        n = min(self.block_size, len(tokens) - 1)
        keys, values = [[] for _ in range(self.layers)], [[] for _ in range(self.layers)]
        losses = []
        for position in range(n):
            probs = softmax(self.logits(tokens[position], position, keys, values))
            losses.append(-probs[tokens[position + 1]].log())
        loss = (1 / n) * sum(losses)
        loss.backward()
        lr, (b1, b2) = self.lr * self.schedule(self.step / self.steps), self.betas
        self.step += 1
        for i, p in enumerate(self.params):
            self.m[i] = b1 * self.m[i] + (1 - b1) * p.grad
            self.v[i] = b2 * self.v[i] + (1 - b2) * p.grad**2
            m_hat, v_hat = self.m[i] / (1 - b1**self.step), self.v[i] / (1 - b2**self.step)
            p.data -= lr * m_hat / (v_hat**0.5 + 1e-8)
            p.grad = 0
        return loss.data
