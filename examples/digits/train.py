"""Trains the digits models and writes what the examples and the tests read.

    python train.py [--out DIR]        # half a minute on one core; DIR defaults to this folder

Data: scikit-learn's handwritten digits (UCI Optical Recognition of Handwritten Digits, test part): 1,797 images of
8 x 8 pixels, each 0..16, here divided by 16. A quarter of the images, in class proportions, is kept for the test.

Writes

* ``digits.onnx``: the model, TorchScript exporter, opset 17; input ``pixels`` float [batch, 64], output ``logits``
  float [batch, 10]. Its linear modules have the keys ``seq.0``, ``seq.2`` and ``seq.4``.
* ``mlp.onnx``: the same with one hidden layer, 64-32-10; ``hidden`` is a linear module and its ReLU, ``head`` a linear
  module.
* ``mlp_gelu.onnx``, ``mlp_silu.onnx``: that with GELU and with SiLU in place of ReLU.
* ``gelu.onnx``: a feed-forward block with GELU, 64-48-64, and the way past it, then a linear layer to the logits.
* ``cnn.onnx``: a convolution, ReLU, max pool and linear layer; input ``pixels`` float [batch, 1, 8, 8].
* ``digits.parquet``: all images; ``id`` long, ``pixels`` array<float> [64], ``label`` long, ``split`` train or test.
* ``calibration.parquet``: 512 training images; ``id`` long, ``pixels`` array<float> [64].

The run is deterministic: fixed seeds, one thread, full batches of a fixed order.
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
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

SEED = 20_240_607
BATCH = 64
CALIBRATION_IMAGES = 512


class Digits(nn.Module):
    """The multilayer perceptron 64-128-64-10 with ReLU: pixels [batch, 64] to logits [batch, 10]."""

    image = (64,)

    def __init__(self) -> None:
        super().__init__()
        self.seq = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.seq(pixels)


class SmallDigits(nn.Module):
    """The multilayer perceptron 64-32-10 with ReLU: pixels [batch, 64] to logits [batch, 10]."""

    image = (64,)
    activation: type[nn.Module] = nn.ReLU

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(64, 32), self.activation())
        self.head = nn.Linear(32, 10)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.head(self.hidden(pixels))


class SmallGeluDigits(SmallDigits):
    """The same with GELU."""

    activation = nn.GELU


class SmallSiluDigits(SmallDigits):
    """The same with SiLU."""

    activation = nn.SiLU


class GeluBlock(nn.Module):
    """A transformer's feed-forward block without its norm, and a head: pixels [batch, 64] to logits [batch, 10]."""

    image = (64,)

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Linear(64, 48), nn.GELU(), nn.Linear(48, 64))
        self.head = nn.Linear(64, 10)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.head(pixels + self.block(pixels))


class SmallCnn(nn.Module):
    """A convolution to 4 channels of 6 x 6, ReLU, max pool to 3 x 3: pixels [batch, 1, 8, 8] to logits [batch, 10]."""

    image = (1, 8, 8)

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2))
        self.head = nn.Linear(4 * 3 * 3, 10)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(pixels).flatten(1))


# Epochs, learning rate, and what the text of the examples promises of test accuracy, without which nothing is written.
MODELS = {
    "digits.onnx": (Digits, 60, 2e-3, 0.97),
    "mlp.onnx": (SmallDigits, 60, 2e-3, 0.95),
    "mlp_gelu.onnx": (SmallGeluDigits, 60, 2e-3, 0.95),
    "mlp_silu.onnx": (SmallSiluDigits, 60, 2e-3, 0.95),
    "gelu.onnx": (GeluBlock, 60, 2e-3, 0.95),
    "cnn.onnx": (SmallCnn, 120, 2e-2, 0.95),
}


def train(kind: type[nn.Module], epochs: int, rate: float, pixels: torch.Tensor, labels: torch.Tensor) -> nn.Module:
    """A model fitted to pixels [images, 64] and labels [images]."""
    torch.manual_seed(SEED)
    model = kind()
    pixels = pixels.unflatten(1, kind.image)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for _ in range(epochs):
        for batch in torch.randperm(len(pixels)).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(pixels[batch]), labels[batch]).backward()
            optimizer.step()
        schedule.step()
    return model.eval()


def export(model: nn.Module, path: Path) -> None:
    """Writes the model as ONNX, checked.

    In the pinned torch this function is the TorchScript exporter; later versions need ``dynamo=False`` to be.
    """
    torch.onnx.export(
        model,
        (torch.zeros(2, *model.image),),
        str(path),
        opset_version=17,
        input_names=["pixels"],
        output_names=["logits"],
        dynamic_axes={"pixels": {0: "batch"}, "logits": {0: "batch"}},
    )
    onnx.checker.check_model(onnx.load(path), full_check=True)


def accuracy(path: Path, pixels: np.ndarray, labels: np.ndarray) -> float:
    """Share of the images [images, 64] that the ONNX model at ``path`` classifies as their label [images]."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    image = session.get_inputs()[0].shape[1:]
    (logits,) = session.run(["logits"], {"pixels": pixels.reshape(-1, *image)})
    return float((logits.argmax(axis=1) == labels).mean())


def write_parquet(path: Path, columns: dict[str, pa.Array]) -> None:
    pq.write_table(pa.table(columns), path)


def pixel_lists(pixels: np.ndarray) -> pa.Array:
    """Images [images, 64] as an Arrow list array."""
    return pa.array(list(pixels), type=pa.list_(pa.float32()))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--out", type=Path, default=Path(__file__).resolve().parent, help="folder to write to")
    out: Path = arguments.parse_args().out
    out.mkdir(parents=True, exist_ok=True)

    # Sums in several threads have no fixed order.
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)

    digits = load_digits()
    pixels = (digits.data / 16).astype(np.float32)
    labels = digits.target.astype(np.int64)
    ids = np.arange(len(labels), dtype=np.int64)
    train_ids, test_ids = train_test_split(ids, test_size=0.25, random_state=SEED, stratify=labels)
    calibration_ids = np.sort(np.random.default_rng(SEED).choice(train_ids, CALIBRATION_IMAGES, replace=False))

    # Renamed when all are complete: a run that fails leaves the files of the last good one.
    with tempfile.TemporaryDirectory(dir=out, prefix=".train-") as scratch:
        written = Path(scratch)
        trained_on = torch.from_numpy(pixels[train_ids]), torch.from_numpy(labels[train_ids])
        for name, (kind, epochs, rate, lowest) in MODELS.items():
            model = train(kind, epochs, rate, *trained_on)
            export(model, written / name)
            train_score = accuracy(written / name, pixels[train_ids], labels[train_ids])
            test_score = accuracy(written / name, pixels[test_ids], labels[test_ids])
            if test_score < lowest:
                raise SystemExit(f"{name}: test accuracy {test_score:.4f} is below {lowest}: nothing written")
            print(f"accuracy of {name}: train {train_score:.4f} ({len(train_ids)} images), "
                  f"test {test_score:.4f} ({len(test_ids)} images)")
        write_parquet(
            written / "digits.parquet",
            {
                "id": pa.array(ids),
                "pixels": pixel_lists(pixels),
                "label": pa.array(labels),
                "split": pa.array(np.where(np.isin(ids, test_ids), "test", "train")),
            },
        )
        write_parquet(
            written / "calibration.parquet",
            {"id": pa.array(calibration_ids), "pixels": pixel_lists(pixels[calibration_ids])},
        )
        for file in sorted(written.iterdir()):
            os.replace(file, out / file.name)


if __name__ == "__main__":
    main()
