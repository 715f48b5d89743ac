"""Trains the convolutional examples and writes what the examples and the tests read.

    python train.py [--out DIR]        # about three minutes on one core; DIR defaults to this folder

Data: the digits of ../digits/digits.parquet (1,797 images of 8 x 8, divided by 16, with their train and test split),
as they are for the small network; for the ResNet enlarged to 32 x 32 (bilinear) and, in training, turned, moved and
scaled at random.

Writes

* ``cnn.onnx``, ``cnn.dynamo.onnx``: conv-relu-pool-conv-relu-fc; input ``pixels`` float [batch, 1, 8, 8], output
  ``logits`` float [batch, 10]; keys ``features.0``, ``features.3``, ``classifier``.
* ``resnet18.onnx``, ``resnet18.dynamo.onnx``: the blocks of ResNet-18 in the form usual for 32 x 32 images, base width
  8 instead of 64; input ``pixels`` float [batch, 1, 32, 32], output ``logits`` float [batch, 10]; torchvision's keys.
  Both exporters fold each BatchNorm into its convolution.
* ``images32.parquet``: the 450 test images at 32 x 32; ``id`` long, ``pixels`` array<float> [1024], ``label`` long.
* ``calibration32.parquet``: 128 training images; ``id`` and ``pixels``. ../digits has the tables of the small network.

The files without ``dynamo`` are the TorchScript exporter's, opset 17. The run is deterministic: fixed seeds, one thread.
"""

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import nn
from torch.nn import functional as F

SEED = 20_240_607
BATCH = 64
DIGITS = Path(__file__).resolve().parent.parent / "digits" / "digits.parquet"
CALIBRATION_IMAGES = 128
# What the examples' text promises; a training that misses it writes nothing.
LOWEST_TEST_ACCURACY = {"cnn": 0.97, "resnet18": 0.98}
EPOCHS = {"cnn": 60, "resnet18": 30}


class Cnn(nn.Module):
    """Pixels [batch, 1, 8, 8] to logits [batch, 10]."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU()
        )
        self.classifier = nn.Linear(16 * 4 * 4, 10)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(pixels).flatten(1))


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and the way past them, which is a 1 x 1 convolution where the shape changes."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.downsample = None
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        past = x if self.downsample is None else self.downsample(x)
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + past)


class ResNet18(nn.Module):
    """He et al., *Deep Residual Learning for Image Recognition*, 2015, table 1, with the 3 x 3 stem of small images."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = self.stage(width, width, 1)
        self.layer2 = self.stage(width, 2 * width, 2)
        self.layer3 = self.stage(2 * width, 4 * width, 2)
        self.layer4 = self.stage(4 * width, 8 * width, 2)
        self.fc = nn.Linear(8 * width, 10)

    @staticmethod
    def stage(channels: int, out: int, stride: int) -> nn.Sequential:
        return nn.Sequential(BasicBlock(channels, out, stride), BasicBlock(out, out, 1))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.bn1(self.conv1(pixels)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


def moved(images: torch.Tensor) -> torch.Tensor:
    """Images [batch, 1, 32, 32], each turned up to 10 degrees, moved up to 3 pixels and scaled up to 10 %."""
    count = len(images)
    angle = (torch.rand(count) - 0.5) * (20 * torch.pi / 180)
    scale = 1 + (torch.rand(count) - 0.5) * 0.2
    shift = (torch.rand(count, 2) - 0.5) * (2 * 3 / 16)
    rows = torch.stack(
        [
            torch.stack([scale * angle.cos(), -scale * angle.sin(), shift[:, 0]], dim=1),
            torch.stack([scale * angle.sin(), scale * angle.cos(), shift[:, 1]], dim=1),
        ],
        dim=1,
    )
    return F.grid_sample(images, F.affine_grid(rows, images.shape, align_corners=False), align_corners=False)


def train(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, epochs: int, is_moved: bool) -> nn.Module:
    """The model fitted to images [images, 1, height, width] and labels [images]."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    model.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(images)).split(BATCH):
            optimizer.zero_grad()
            seen = moved(images[batch]) if is_moved else images[batch]
            F.cross_entropy(model(seen), labels[batch]).backward()
            optimizer.step()
        schedule.step()
    return model.eval()


def export(model: nn.Module, example: torch.Tensor, path: Path, is_dynamo: bool) -> None:
    """Writes the model as ONNX with an open batch axis, checked."""
    names = {"input_names": ["pixels"], "output_names": ["logits"]}
    if is_dynamo:
        batch = torch.export.Dim("batch", min=1, max=65536)
        torch.onnx.export(
            model, (example,), str(path), dynamo=True, external_data=False, opset_version=18,
            dynamic_shapes=({0: batch},), verbose=False, **names,
        )
    else:
        torch.onnx.export(
            model, (example,), str(path), dynamo=False, opset_version=17,
            dynamic_axes={"pixels": {0: "batch"}, "logits": {0: "batch"}}, **names,
        )
    onnx.checker.check_model(onnx.load(path), full_check=True)


def accuracy(path: Path, images: np.ndarray, labels: np.ndarray) -> float:
    """Share of the images that the ONNX model at ``path`` classifies as their label."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"pixels": images})
    return float((logits.argmax(axis=1) == labels).mean())


def write_parquet(path: Path, columns: dict[str, pa.Array]) -> None:
    pq.write_table(pa.table(columns), path, compression="zstd", compression_level=19)


def pixel_lists(images: np.ndarray) -> pa.Array:
    """Images [images, ...] as an Arrow list array, each in row-major order."""
    return pa.array(list(images.reshape(len(images), -1)), type=pa.list_(pa.float32()))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--out", type=Path, default=Path(__file__).resolve().parent, help="folder to write to")
    out: Path = arguments.parse_args().out
    out.mkdir(parents=True, exist_ok=True)

    # Sums in several threads have no fixed order.
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(SEED)

    digits = pq.read_table(DIGITS)
    small = torch.tensor(digits["pixels"].to_pylist(), dtype=torch.float32).reshape(-1, 1, 8, 8)
    large = F.interpolate(small, size=(32, 32), mode="bilinear", align_corners=False)
    labels = torch.tensor(digits["label"].to_pylist())
    is_train = torch.tensor([split == "train" for split in digits["split"].to_pylist()])
    ids = np.arange(len(labels))

    # Renamed when all are complete: a run that fails leaves the files of the last good one.
    with tempfile.TemporaryDirectory(dir=out, prefix=".train-") as scratch:
        written = Path(scratch)
        for name, model, images in [("cnn", Cnn(), small), ("resnet18", ResNet18(), large)]:
            train(model, images[is_train], labels[is_train], EPOCHS[name], is_moved=name == "resnet18")
            for file, is_dynamo in [(f"{name}.onnx", False), (f"{name}.dynamo.onnx", True)]:
                export(model, images[:2], written / file, is_dynamo)
                test = accuracy(written / file, images[~is_train].numpy(), labels[~is_train].numpy())
                print(f"{file}: test accuracy {test:.4f} ({int((~is_train).sum())} images)", flush=True)
                if test < LOWEST_TEST_ACCURACY[name]:
                    raise SystemExit(f"{file}: below {LOWEST_TEST_ACCURACY[name]}: nothing written")
        tests = ids[~is_train.numpy()]
        chosen = np.sort(np.random.default_rng(SEED).choice(ids[is_train.numpy()], CALIBRATION_IMAGES, replace=False))
        write_parquet(
            written / "images32.parquet",
            {
                "id": pa.array(tests),
                "pixels": pixel_lists(large[tests].numpy()),
                "label": pa.array(labels[tests].numpy()),
            },
        )
        write_parquet(
            written / "calibration32.parquet",
            {"id": pa.array(chosen), "pixels": pixel_lists(large[chosen].numpy())},
        )
        for file in sorted(written.iterdir()):
            os.replace(file, out / file.name)


if __name__ == "__main__":
    main()
