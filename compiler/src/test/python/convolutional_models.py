"""Small convolutional models: every attribute of Conv, and norms that an exporter folds into the layer before."""

import torch
from torch import nn


class BasicBlock(nn.Module):
    """A ResNet's block, with a projection on the shortcut if the shape changes."""

    def __init__(self, channels_in, channels_out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.downsample = (
            nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False),
                nn.BatchNorm2d(channels_out),
            )
            if stride != 1
            else None
        )

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        h = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(h)) + shortcut)


class ResNet(nn.Module):
    """Conv1 and bn1 at the top and in every block; each BatchNorm2d is folded into a Conv2d without bias."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.relu = nn.ReLU()
        self.layer1 = nn.Sequential(BasicBlock(4, 4, 1), BasicBlock(4, 4, 1))
        self.layer2 = nn.Sequential(BasicBlock(4, 6, 2))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(6, 3)

    def forward(self, x):
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.avgpool(self.layer2(self.layer1(x)))
        return self.fc(torch.flatten(x, 1))


class Conv2dKinds(nn.Module):
    """Stride, dilation, groups, depthwise, and padding given by numbers, by 'same' and by a module."""

    def __init__(self):
        super().__init__()
        self.plain = nn.Conv2d(2, 4, 3)
        self.strided = nn.Conv2d(4, 4, (3, 2), stride=(2, 1), padding=(1, 0))
        self.dilated = nn.Conv2d(4, 4, 3, padding=2, dilation=2)
        self.grouped = nn.Conv2d(4, 6, 1, groups=2)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False)
        self.multiplied = nn.Conv2d(6, 12, 3, padding=1, groups=6)
        self.same = nn.Conv2d(12, 3, 2, padding="same")
        self.pad = nn.ZeroPad2d((2, 0, 1, 0))
        self.asymmetric = nn.Conv2d(3, 3, 3)
        self.rest = nn.Conv2d(3, 2, (3, 5))

    def forward(self, x):
        x = torch.tanh(self.strided(torch.tanh(self.plain(x))))
        x = torch.tanh(self.grouped(torch.tanh(self.dilated(x))))
        x = torch.tanh(self.multiplied(torch.tanh(self.depthwise(x))))
        x = torch.tanh(self.asymmetric(self.pad(torch.tanh(self.same(x)))))
        return self.rest(x).flatten(1)


class Conv1dNet(nn.Module):
    """A causal, dilated network over time, as for audio, and a head on the last step."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv1d(2, 4, 3, stride=2, padding=1), nn.BatchNorm1d(4), nn.ReLU())
        self.causal = nn.ModuleList(
            nn.ModuleDict({"pad": nn.ConstantPad1d((2 * d, 0), 0.0), "conv": nn.Conv1d(4, 4, 3, dilation=d)})
            for d in (1, 2)
        )
        self.depthwise = nn.Conv1d(4, 4, 3, padding=1, groups=4)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        x = self.stem(x)
        for block in self.causal:
            x = x + torch.tanh(block["conv"](block["pad"](x)))
        return self.head(torch.tanh(self.depthwise(x))[:, :, -1])


class AutoEncoder(nn.Module):
    """ConvTranspose2d stays in clear; what surrounds it need not."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, 3, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(3, 4, 1))
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(4, 3, 2, stride=2), nn.ReLU(), nn.Conv2d(3, 1, 3, padding=1)
        )

    def forward(self, x):
        code = torch.tanh(self.encoder(x))
        return self.decoder(code), code


class SeparateNorms(nn.Module):
    """BatchNorms that nothing can be folded into: before a convolution, at the input and after a branch."""

    def __init__(self):
        super().__init__()
        self.normalise = nn.BatchNorm2d(2)
        self.conv = nn.Conv2d(2, 4, 3, padding=1)
        self.after_sum = nn.BatchNorm2d(4)
        self.head = nn.Conv2d(4, 3, 1)

    def forward(self, x):
        h = self.conv(self.normalise(x))
        return self.head(torch.relu(self.after_sum(h + torch.tanh(h)))).mean((2, 3))


class LinearBatchNorm(nn.Module):
    """Linear and BatchNorm1d: the TorchScript exporter leaves two nodes, the Dynamo exporter one."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(6, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 5), nn.BatchNorm1d(5)
        )
        self.out = nn.Linear(5, 3)

    def forward(self, x):
        return self.out(torch.tanh(self.net(x)))


class SharedConv(nn.Module):
    """A convolution called twice on maps of two sizes, and two modules with one weight."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.first = nn.Conv2d(3, 3, 1)
        self.second = nn.Conv2d(3, 3, 1)
        self.second.weight = self.first.weight

    def forward(self, x):
        x = self.pool(torch.relu(self.conv(x)))
        x = self.second(torch.relu(self.first(torch.relu(self.conv(x)))))
        return x.flatten(1)


class PatchTransformer(nn.Module):
    """A vision transformer: patches by a strided convolution, PyTorch's own encoder layer, a class token."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(1, 8, 2, stride=2)
        self.token = nn.Parameter(torch.zeros(1, 1, 8))
        self.layer = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        h = self.patches(x).flatten(2).transpose(1, 2)
        h = torch.cat([self.token.expand(h.shape[0], -1, -1), h], 1)
        return self.head(self.layer(h)[:, 0])
