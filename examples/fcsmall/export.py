"""Writes the small model of Concrete ML's page on hybrid models, and records for it.

    python export.py [--out DIR]        # seconds; DIR defaults to this folder

Writes

* ``fcsmall.onnx``: Linear(10, 10), ReLU, Linear(10, 10), untrained, as there; modules ``seq.0`` and ``seq.2``. Input ``x``
  float [batch, 10], output ``y`` float [batch, 10]. TorchScript exporter, opset 17.
* ``records.parquet``: 1,000 records of numbers from 0 to 1; ``id`` long, ``x`` array<float> [10].
* ``calibration.parquet``: 200 others.

The run is deterministic: fixed seed, one thread.
"""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import nn

SEED = 10
WIDTH = 10
RECORDS = 1_000
CALIBRATION_RECORDS = 200


class FCSmall(nn.Module):
    """Two linear layers with ReLU between them: x [batch, width] to y [batch, width]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.seq = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.seq(x)


def write_records(path: Path, records: np.ndarray) -> None:
    rows = pa.array(list(records), type=pa.list_(pa.float32()))
    pq.write_table(pa.table({"id": pa.array(range(len(records)), type=pa.int64()), "x": rows}), path)


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    model = FCSmall(WIDTH).eval()
    torch.onnx.export(
        model,
        torch.rand(1, WIDTH),
        str(out / "fcsmall.onnx"),
        opset_version=17,
        input_names=["x"],
        output_names=["y"],
        dynamic_axes={"x": {0: "batch"}, "y": {0: "batch"}},
    )
    numbers = np.random.default_rng(SEED).random((RECORDS + CALIBRATION_RECORDS, WIDTH), dtype=np.float32)
    write_records(out / "records.parquet", numbers[:RECORDS])
    write_records(out / "calibration.parquet", numbers[RECORDS:])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent, help="folder to write to")
    main(parser.parse_args().out)
