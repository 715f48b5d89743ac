"""Small models with containers that are linear inside, several inputs and several outputs."""

import torch
from torch import nn


class LowRank(nn.Module):
    """A frozen layer and its adaptation of low rank, as LoRA adds them."""

    affine = True

    def __init__(self, inputs, outputs, rank):
        super().__init__()
        self.base = nn.Linear(inputs, outputs)
        self.down = nn.Linear(inputs, rank, bias=False)
        self.up = nn.Linear(rank, outputs, bias=False)

    def forward(self, x):
        return self.base(x) + 2.0 * self.up(self.down(x))


class Merge(nn.Module):
    """Two tensors in, one out."""

    affine = True

    def __init__(self, width):
        super().__init__()
        self.left = nn.Linear(width, width)
        self.right = nn.Linear(width, width, bias=False)

    def forward(self, a, b):
        return self.left(a) - self.right(b)


class Bottleneck(nn.Module):
    """Its sum with the input is inside: linear as a whole, and so is each part."""

    affine = True

    def __init__(self, width):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(width, 3), nn.Dropout(0.1), nn.Linear(3, width))

    def forward(self, x):
        return x + self.body(x)


class Containers(nn.Module):
    def __init__(self):
        super().__init__()
        self.adapted = LowRank(6, 8, 2)
        self.merge = Merge(8)
        self.residual = Bottleneck(8)
        self.scorer = nn.Sequential(nn.Linear(8, 5), nn.Linear(5, 3))
        self.mixed = nn.Sequential(nn.Linear(3, 3), nn.ReLU())

    def forward(self, x):
        h = torch.tanh(self.adapted(x))
        h = self.residual(torch.relu(self.merge(h, torch.sigmoid(h))))
        return self.mixed(torch.tanh(self.scorer(torch.tanh(h))))


class ConvContainers(nn.Module):
    """Containers of convolutions, norms and averages without anything in between."""

    def __init__(self):
        super().__init__()
        self.separable = nn.Sequential(
            nn.Conv2d(2, 2, 3, padding=1, groups=2, bias=False), nn.Conv2d(2, 5, 1), nn.BatchNorm2d(5)
        )
        self.pooled = nn.Sequential(nn.Conv2d(5, 4, 2, stride=2), nn.AvgPool2d(2))
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))

    def forward(self, x):
        return self.classifier(torch.relu(self.pooled(torch.relu(self.separable(x)))))


class TwoTowers(nn.Module):
    """Float and int64 inputs of different ranks in, three tensors out; one encoder reads both sides."""

    def __init__(self):
        super().__init__()
        self.items = nn.Embedding(9, 4)
        self.shared = nn.Linear(4, 6)
        self.profile = nn.Linear(5, 4)
        self.towers = nn.ModuleDict({"user": nn.Linear(6, 3), "item": nn.Linear(6, 3)})

    def forward(self, profile, history, candidate):
        user = self.towers["user"](torch.relu(self.shared(torch.tanh(self.profile(profile)))))
        seen = torch.relu(self.shared(self.items(history))).mean(1)
        item = self.towers["item"](torch.relu(self.shared(self.items(candidate))) + seen)
        return (user * item).sum(-1), user, item


class NumberedNames(nn.Module):
    """Lists in lists, and modules whose names are numbers or end in one."""

    def __init__(self):
        super().__init__()
        self.experts = nn.ModuleList(
            nn.ModuleList(nn.Linear(4, 4, bias=row == 0) for _ in range(2)) for row in range(2)
        )
        self.by_size = nn.ModuleDict({"1": nn.Linear(4, 3), "x_1": nn.Linear(4, 3), "x": nn.Linear(4, 3)})

    def forward(self, x):
        for row in self.experts:
            x = torch.tanh(row[0](x) + row[1](x))
        return self.by_size["1"](x) + torch.relu(self.by_size["x_1"](x)) + torch.tanh(self.by_size["x"](x))
