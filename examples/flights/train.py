"""Trains ``flights.onnx`` and draws ``calibration.parquet``.

    python train.py [--out DIR]        # about a minute on one core; DIR defaults to this folder

The model tells from what is known when a flight leaves the gate (see ``table.py``) whether it will arrive more than 15
minutes late. Embeddings of carrier, origin and destination join eight numbers; three linear layers follow, 36-256-128-1,
with the keys ``seq.0``, ``seq.2`` and ``seq.4``. Inputs ``carrier``, ``origin``, ``dest`` long [batch] and ``when``
float [batch, 8]; output ``logit`` float [batch, 1].

Every fifth flight is kept for the test. The run is deterministic: fixed seed, one thread, full batches.
"""

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
import onnx
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from torch import nn

import table

SEED = 20_261_128
BATCH = 4096
EPOCHS = 12
CALIBRATION_RECORDS = 2048


class Flights(nn.Module):
    """Of carrier, origin, dest [batch] and when [batch, 8], the logit [batch, 1] of arriving late."""

    def __init__(self, carriers: int, origins: int, destinations: int) -> None:
        super().__init__()
        self.carrier = nn.Embedding(carriers, 8)
        self.origin = nn.Embedding(origins, 4)
        self.dest = nn.Embedding(destinations, 16)
        self.seq = nn.Sequential(nn.Linear(36, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 1))

    def forward(
        self, carrier: torch.Tensor, origin: torch.Tensor, dest: torch.Tensor, when: torch.Tensor
    ) -> torch.Tensor:
        return self.seq(torch.cat([self.carrier(carrier), self.origin(origin), self.dest(dest), when], dim=1))


def area_under_curve(logits: np.ndarray, late: np.ndarray) -> float:
    """The probability that a late flight has a higher logit than one in time, by ranks."""
    ranks = np.empty(len(logits))
    ranks[np.argsort(logits, kind="stable")] = np.arange(1, len(logits) + 1)
    positives = int(late.sum())
    return (ranks[late == 1].sum() - positives * (positives + 1) / 2) / (positives * (len(late) - positives))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    out = parser.parse_args().out
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)

    data = table.flights()
    arrived = data.filter(pc.is_valid(data["late"]))
    inputs = [torch.from_numpy(arrived[name].to_numpy().copy()) for name in ("carrier", "origin", "dest")]
    when = np.stack(arrived["when"].to_numpy()).astype(np.float32)
    inputs.append(torch.from_numpy(when))
    late = torch.from_numpy(arrived["late"].to_numpy().astype(np.float32)).unsqueeze(1)
    is_test = torch.arange(len(late)) % 5 == 0
    train = [tensor[~is_test] for tensor in (*inputs, late)]
    test = [tensor[is_test] for tensor in (*inputs, late)]

    sizes = [int(tensor.max()) + 1 for tensor in inputs[:3]]
    # Destinations of flights that never arrived count too.
    sizes[2] = int(data["dest"].to_numpy().max()) + 1
    model = Flights(*sizes)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    loss_of = nn.BCEWithLogitsLoss()
    for epoch in range(EPOCHS):
        order = torch.randperm(len(train[-1]))
        for start in range(0, len(order), BATCH):
            *batch, target = (tensor[order[start : start + BATCH]] for tensor in train)
            loss = loss_of(model(*batch), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
        print(f"epoch {epoch + 1}: loss of the last batch {loss.item():.4f}")
    model.eval()
    with torch.no_grad():
        logits = model(*test[:-1])
    right = ((logits > 0) == (test[-1] > 0.5)).float().mean().item()
    curve = area_under_curve(logits.squeeze(1).numpy(), test[-1].squeeze(1).numpy())
    print(f"test: {len(logits)} flights, accuracy {right:.4f}, area under the curve {curve:.4f}")

    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as temporary:
        exported = os.path.join(temporary, "flights.onnx")
        names = ["carrier", "origin", "dest", "when"]
        torch.onnx.export(
            model,
            tuple(tensor[:2] for tensor in inputs),
            exported,
            opset_version=17,
            input_names=names,
            output_names=["logit"],
            dynamic_axes={name: {0: "batch"} for name in [*names, "logit"]},
        )
        onnx.checker.check_model(exported)
        os.replace(exported, out / "flights.onnx")
        calibration = arrived.filter(pc.equal(pc.bit_wise_and(np.arange(len(late)), 127), 1))
        drawn = os.path.join(temporary, "calibration.parquet")
        pq.write_table(calibration.select(names).slice(0, CALIBRATION_RECORDS), drawn)
        os.replace(drawn, out / "calibration.parquet")


if __name__ == "__main__":
    main()
