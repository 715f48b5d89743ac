"""Small models made of Linears, one for each way in which an export can hide which module a node belongs to."""

import math

import torch
import torch.nn.functional as F
from torch import nn


class NestedSequential(nn.Module):
    def __init__(self):
        super().__init__()
        self.seq = nn.Sequential(
            nn.Linear(8, 6),
            nn.ReLU(),
            nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.1), nn.Tanh()),
            nn.Linear(6, 4),
        )
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return torch.softmax(self.head(self.seq(x)), dim=-1)


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.lin = nn.Linear(width, width)

    def forward(self, x):
        return torch.relu(self.lin(x))


class ModuleListNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([Block(5) for _ in range(3)])
        self.lin = nn.Linear(5, 2)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.lin(x)


class ModuleDictNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(6, 5)
        self.heads = nn.ModuleDict({"a": nn.Linear(5, 2), "b": nn.Linear(5, 3)})

    def forward(self, x):
        h = torch.tanh(self.body(x))
        return self.heads["a"](h), self.heads["b"](h)


class SharedTwice(nn.Module):
    """`shared` is called twice, in two stages."""

    def __init__(self):
        super().__init__()
        self.shared = nn.Linear(6, 6)
        self.out = nn.Linear(6, 2)

    def forward(self, x):
        return self.out(torch.relu(self.shared(torch.relu(self.shared(x)))))


class NamedLin1(nn.Module):
    """`lin_1` is a module's name here, and `lin` is called twice as well."""

    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(6, 6)
        self.lin_1 = nn.Linear(6, 6)

    def forward(self, x):
        return self.lin_1(torch.relu(self.lin(torch.relu(self.lin(x)))))


class NamedLin1Once(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(6, 5)
        self.lin_1 = nn.Linear(5, 4)

    def forward(self, x):
        return self.lin_1(torch.relu(self.lin(x)))


class NamedLin1NoBias(nn.Module):
    """As above, but no parameter leaves its name: only the weights tell a second call from `lin_1`."""

    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(6, 6, bias=False)
        self.lin_1 = nn.Linear(6, 6, bias=False)

    def forward(self, x):
        return self.lin_1(torch.relu(self.lin(x)))


class Residual(nn.Module):
    """A clear tensor from before a remote module is read after it, and an input is an output."""

    def __init__(self):
        super().__init__()
        self.up = nn.Linear(4, 8)
        self.down = nn.Linear(8, 4)
        self.gate = nn.Linear(4, 4)

    def forward(self, x):
        h = torch.tanh(x)
        y = h + self.down(torch.relu(self.up(h)))
        return y * torch.sigmoid(self.gate(h)), h


class Rank3(nn.Module):
    def __init__(self):
        super().__init__()
        self.query = nn.Linear(8, 6)
        self.key = nn.Linear(8, 6)
        self.value = nn.Linear(8, 6, bias=False)
        self.dense = nn.Linear(6, 8)

    def forward(self, x):
        q, k, v = self.query(x), self.key(x), self.value(x)
        a = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(6), dim=-1)
        return x + self.dense(a @ v)


class NoBias(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 5, bias=False)
        self.second = nn.Linear(5, 4, bias=False)

    def forward(self, x):
        return self.second(torch.relu(self.first(x)))


class TiedWeights(nn.Module):
    """One weight serves two Linears and a clear functional call."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.second = nn.Linear(6, 6)
        self.second.weight = self.first.weight
        self.probe = nn.Linear(6, 6)

    def forward(self, x):
        h = self.second(torch.relu(self.first(x)))
        return self.probe(h) + (h * self.probe.weight.sum())


class Layered(nn.Module):
    """Keys like a ResNet's: conv1 at the top, and layer1.0.conv1 in a block."""

    class Basic(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Linear(6, 6)
            self.relu = nn.ReLU()
            self.conv2 = nn.Linear(6, 6)

        def forward(self, x):
            return x + self.conv2(self.relu(self.conv1(x)))

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Linear(6, 6)
        self.layer1 = nn.Sequential(self.Basic(), self.Basic())
        self.layer2 = nn.Sequential(self.Basic())
        self.fc = nn.Linear(6, 3)

    def forward(self, x):
        return self.fc(self.layer2(self.layer1(self.conv1(x))))


class SelfAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.query = nn.Linear(8, 8)
        self.key = nn.Linear(8, 8)
        self.value = nn.Linear(8, 8)

    def forward(self, x):
        a = torch.softmax(self.query(x) @ self.key(x).transpose(-1, -2), dim=-1)
        return a @ self.value(x)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.self = SelfAttention()
        self.output = nn.Linear(8, 8)

    def forward(self, x):
        return x + self.output(self.self(x))


class EncoderLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = Attention()
        self.output = nn.Sequential(nn.Linear(8, 12), nn.GELU(), nn.Linear(12, 8))
        self.norm = nn.LayerNorm(8)

    def forward(self, x):
        h = self.attention(x)
        return self.norm(h + self.output(h))


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.ModuleList([EncoderLayer(), EncoderLayer()])

    def forward(self, x):
        for layer in self.layer:
            x = layer(x)
        return x


class Transformer(nn.Module):
    """Token ids in, a key six levels deep: encoder.layer.0.attention.self.query."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, 8)
        self.encoder = Encoder()
        self.head = nn.Linear(8, 2)

    def forward(self, ids, mask):
        h = self.encoder(self.embedding(ids))
        pooled = (h * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)
        return self.head(pooled)


class Conv(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.classifier = nn.Linear(8, 3)

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


class OnlyLinear(nn.Module):
    """The graph's input is the remote module's, and so is its output; the input is an output too."""

    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(6, 3)

    def forward(self, x):
        return self.lin(x), x


class Functional(nn.Module):
    """A matrix product that belongs to no module."""

    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(6, 6)
        self.weight = nn.Parameter(torch.randn(4, 6))

    def forward(self, x):
        return F.linear(self.lin(x), self.weight)


class SharedBlock(nn.Module):
    """A block called twice; Linears without bias, whose parameters leave no name; a ModuleDict in between."""

    def __init__(self):
        super().__init__()
        self.block = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6, bias=False))
        self.plain = nn.Linear(6, 6, bias=False)
        self.relu = nn.ReLU()
        self.heads = nn.ModuleDict({"a": nn.Linear(6, 4, bias=False)})

    def forward(self, x):
        x = self.relu(self.block(x))
        x = self.relu(self.block(x))
        return self.heads["a"](self.plain(self.plain(x)))


class MergedParameters(nn.Module):
    """Biases and norms that are equal become one tensor and Identity nodes; a module that is only read."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(6, 6)
        self.b = nn.Linear(6, 6)
        self.n1 = nn.LayerNorm(6)
        self.n2 = nn.LayerNorm(6)
        self.c = nn.Linear(6, 6)
        self.rows = nn.ModuleList([nn.ModuleList([nn.Linear(6, 6)])])
        self.seq = nn.Sequential(nn.ModuleDict({"z": nn.Linear(6, 6)}))

    def forward(self, x):
        x = self.n2(self.b(self.n1(self.a(x))))
        x = F.linear(x, self.c.weight, self.c.bias)
        return self.seq[0]["z"](self.rows[0][0](x))

    def fill(self):
        for module in (self.a, self.b):
            nn.init.zeros_(module.bias)
        for module in (self.n1, self.n2):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)


class TiedHead(nn.Module):
    """The head's weight is the embedding's; the exporter gives it a transposed copy."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(7, 6)
        self.dense = nn.Linear(6, 6)
        self.head = nn.Linear(6, 7, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, ids):
        return self.head(torch.tanh(self.dense(self.embedding(ids))))


class Scaled(nn.Module):
    """A Gemm with alpha = 0.5 and a matrix product from the left: no Linear modules."""

    class Half(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(6, 6))
            self.bias = nn.Parameter(torch.randn(6))

        def forward(self, x):
            return torch.addmm(self.bias, x, self.weight, alpha=0.5)

    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.up = nn.Parameter(torch.randn(4, 6))
            self.down = nn.Parameter(torch.randn(6, 4))

        def forward(self, x):
            return F.linear(F.linear(x, self.up), self.down)

    def __init__(self):
        super().__init__()
        self.scaled = self.Half()
        self.two = self.Two()
        self.unused = nn.Linear(2, 2)
        self.lin = nn.Linear(6, 6)

    def forward(self, x):
        return self.lin(torch.relu(self.two(self.scaled(x))))


def sequential():
    return nn.Sequential(
        nn.Linear(6, 8), nn.ReLU(), nn.Sequential(nn.Linear(8, 8), nn.ReLU()), nn.Linear(8, 3)
    )
