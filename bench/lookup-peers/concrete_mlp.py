"""Times Concrete ML on the MLP that examples/remote-models scores: at 6 bits, all of it encrypted.

    python concrete_mlp.py mlp.onnx RECORDS      # prints one JSON object

The same weights, read from the ONNX file; inputs and weights of 6 bits, accumulators rounded to 6 bits, as without
rounding the keys take more than 24 GB. Images: scikit-learn's digits, the first of them; they calibrate as well.
"""

import json
import sys
import time
from importlib.metadata import version

import numpy as np
import onnx
import torch
from concrete.ml.torch.compile import compile_torch_model
from onnx import numpy_helper
from sklearn.datasets import load_digits
from torch import nn

BITS = 6
CALIBRATION_IMAGES = 512


def mlp(path: str) -> nn.Module:
    """The model of mlp.onnx: a hidden layer with ReLU, and a head."""
    state = {tensor.name: torch.tensor(numpy_helper.to_array(tensor)) for tensor in onnx.load(path).graph.initializer}
    hidden, inputs = state["hidden.0.weight"].shape
    head = nn.Linear(hidden, state["head.weight"].shape[0])
    model = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), head)
    names = {"0.weight": "hidden.0.weight", "0.bias": "hidden.0.bias", "2.weight": "head.weight", "2.bias": "head.bias"}
    model.load_state_dict({ours: state[theirs] for ours, theirs in names.items()})
    return model.eval()


def main() -> None:
    path, records = sys.argv[1], int(sys.argv[2])
    digits = load_digits()
    pixels = (digits.data / 16).astype(np.float32)

    start = time.perf_counter()
    module = compile_torch_model(
        mlp(path), pixels[:CALIBRATION_IMAGES], n_bits=BITS, rounding_threshold_bits=BITS
    )
    compile_seconds = time.perf_counter() - start
    circuit = module.fhe_circuit

    start = time.perf_counter()
    circuit.keygen()
    keygen_seconds = time.perf_counter() - start

    start = time.perf_counter()
    encrypted = module.forward(pixels[:records], fhe="execute")
    seconds = time.perf_counter() - start

    in_clear = module.forward(pixels, fhe="disable")
    print(
        json.dumps(
            {
                "version": version("concrete-ml"),
                "records": records,
                "seconds_a_record": seconds / records,
                "compile_seconds": compile_seconds,
                "keygen_seconds": keygen_seconds,
                "lookups": circuit.programmable_bootstrap_count,
                "key_bytes": circuit.size_of_bootstrap_keys + circuit.size_of_keyswitch_keys,
                "result_bytes": circuit.size_of_outputs,
                "quantised_accuracy": float((in_clear.argmax(axis=1) == digits.target).mean()),
                "same_class_as_quantised": float(
                    (encrypted.argmax(axis=1) == in_clear[:records].argmax(axis=1)).mean()
                ),
            }
        )
    )


if __name__ == "__main__":
    main()
