"""Small language models with the module names and habits of those on model hubs."""

import math

import torch
from torch import nn


class Conv1D(nn.Module):
    """Hugging Face's Conv1D: a Linear whose weight is [in, out]."""

    affine = True

    def __init__(self, outputs, inputs):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs))
        self.bias = nn.Parameter(torch.empty(outputs))

    def forward(self, x):
        shape = x.size()[:-1] + (self.weight.shape[1],)
        return torch.addmm(self.bias, x.view(-1, x.size(-1)), self.weight).view(shape)


class GptAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.c_attn = Conv1D(3 * width, width)
        self.c_proj = Conv1D(width, width)

    def forward(self, x):
        batch, tokens, width = x.shape
        q, k, v = (
            part.view(batch, tokens, self.heads, -1).transpose(1, 2)
            for part in self.c_attn(x).split(width, dim=2)
        )
        scores = q @ k.transpose(-1, -2) / math.sqrt(width // self.heads)
        future = torch.ones(tokens, tokens, dtype=torch.bool).triu(1)
        weights = torch.softmax(scores.masked_fill(future, float("-inf")), dim=-1)
        return self.c_proj((weights @ v).transpose(1, 2).reshape(batch, tokens, width))


class GptMlp(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.c_fc = Conv1D(2 * width, width)
        self.act = nn.GELU(approximate="tanh")
        self.c_proj = Conv1D(width, 2 * width)

    def forward(self, x):
        return self.c_proj(self.act(self.c_fc(x)))


class GptBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = GptAttention(width, heads)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = GptMlp(width)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Gpt(nn.Module):
    """GPT-2's keys: transformer.h.0.attn.c_attn is a Conv1D, ln_1 a name, lm_head tied to transformer.wte."""

    std = 0.2

    def __init__(self):
        super().__init__()
        width, words, tokens = 8, 13, 5
        self.transformer = nn.ModuleDict(
            {
                "wte": nn.Embedding(words, width),
                "wpe": nn.Embedding(tokens, width),
                "h": nn.ModuleList([GptBlock(width, 2), GptBlock(width, 2)]),
                "ln_f": nn.LayerNorm(width),
            }
        )
        self.lm_head = nn.Linear(width, words, bias=False)
        self.lm_head.weight = self.transformer["wte"].weight

    def forward(self, ids):
        positions = torch.arange(ids.shape[1])
        x = self.transformer["wte"](ids) + self.transformer["wpe"](positions)
        for block in self.transformer["h"]:
            x = block(x)
        return self.lm_head(self.transformer["ln_f"](x))


class BertEmbeddings(nn.Module):
    def __init__(self, width, words, tokens):
        super().__init__()
        self.word_embeddings = nn.Embedding(words, width, padding_idx=0)
        self.position_embeddings = nn.Embedding(tokens, width)
        self.token_type_embeddings = nn.Embedding(2, width)
        self.LayerNorm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(0.1)

    def forward(self, ids, types):
        positions = torch.arange(ids.shape[1])
        x = self.word_embeddings(ids) + self.token_type_embeddings(types)
        return self.dropout(self.LayerNorm(x + self.position_embeddings(positions)))


class BertSelfAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)

    def forward(self, x, mask):
        batch, tokens, width = x.shape
        q, k, v = (
            layer(x).view(batch, tokens, self.heads, -1).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        scores = q @ k.transpose(-1, -2) / math.sqrt(width // self.heads) + mask
        return (torch.softmax(scores, dim=-1) @ v).transpose(1, 2).reshape(batch, tokens, width)


class BertSelfOutput(nn.Module):
    """A container that reads two tensors: a product and a residual."""

    def __init__(self, inputs, width):
        super().__init__()
        self.dense = nn.Linear(inputs, width)
        self.LayerNorm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(0.1)

    def forward(self, h, x):
        return self.LayerNorm(self.dropout(self.dense(h)) + x)


class BertAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.self = BertSelfAttention(width, heads)
        self.output = BertSelfOutput(width, width)

    def forward(self, x, mask):
        return self.output(self.self(x, mask), x)


class BertIntermediate(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.dense = nn.Linear(width, 2 * width)
        self.intermediate_act_fn = nn.GELU()

    def forward(self, x):
        return self.intermediate_act_fn(self.dense(x))


class BertLayer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.attention = BertAttention(width, heads)
        self.intermediate = BertIntermediate(width)
        self.output = BertSelfOutput(2 * width, width)

    def forward(self, x, mask):
        x = self.attention(x, mask)
        return self.output(self.intermediate(x), x)


class BertEncoder(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.layer = nn.ModuleList([BertLayer(width, heads), BertLayer(width, heads)])

    def forward(self, x, mask):
        for layer in self.layer:
            x = layer(x, mask)
        return x


class BertPooler(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.dense = nn.Linear(width, width)
        self.activation = nn.Tanh()

    def forward(self, x):
        return self.activation(self.dense(x[:, 0]))


class Bert(nn.Module):
    """BERT's keys, with an attention mask: three int64 inputs whose second axis is open too, two outputs."""

    std = 0.3

    def __init__(self):
        super().__init__()
        width, heads = 8, 2
        self.embeddings = BertEmbeddings(width, 17, 9)
        self.encoder = BertEncoder(width, heads)
        self.pooler = BertPooler(width)

    def forward(self, input_ids, attention_mask, token_type_ids):
        mask = (1.0 - attention_mask[:, None, None, :].float()) * -10000.0
        x = self.encoder(self.embeddings(input_ids, token_type_ids), mask)
        return x, self.pooler(x)


class RmsNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width))

    def forward(self, x):
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5))


class LlamaAttention(nn.Module):
    """Grouped queries: two heads share the key and the value of one."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(width, width // heads, bias=False)
        self.v_proj = nn.Linear(width, width // heads, bias=False)
        self.o_proj = nn.Linear(width, width, bias=False)

    def forward(self, x, rotation):
        batch, tokens, width = x.shape
        q = self.rotate(self.q_proj(x).view(batch, tokens, self.heads, -1).transpose(1, 2), rotation)
        k = self.rotate(self.k_proj(x).view(batch, tokens, 1, -1).transpose(1, 2), rotation)
        v = self.v_proj(x).view(batch, tokens, 1, -1).transpose(1, 2)
        scores = q @ k.transpose(-1, -2) / math.sqrt(width // self.heads)
        future = torch.full((tokens, tokens), -10000.0).triu(1)
        h = torch.softmax(scores + future, dim=-1) @ v
        return self.o_proj(h.transpose(1, 2).reshape(batch, tokens, width))

    @staticmethod
    def rotate(x, rotation):
        cos, sin = rotation
        left, right = x.chunk(2, dim=-1)
        return x * cos + torch.cat([-right, left], dim=-1) * sin


class LlamaMlp(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.gate_proj = nn.Linear(width, 2 * width, bias=False)
        self.up_proj = nn.Linear(width, 2 * width, bias=False)
        self.down_proj = nn.Linear(2 * width, width, bias=False)
        self.act_fn = nn.SiLU()

    def forward(self, x):
        return self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x))


class LlamaLayer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.self_attn = LlamaAttention(width, heads)
        self.mlp = LlamaMlp(width)
        self.input_layernorm = RmsNorm(width)
        self.post_attention_layernorm = RmsNorm(width)

    def forward(self, x, rotation):
        x = x + self.self_attn(self.input_layernorm(x), rotation)
        return x + self.mlp(self.post_attention_layernorm(x))


class LlamaModel(nn.Module):
    def __init__(self, width, heads, words):
        super().__init__()
        self.embed_tokens = nn.Embedding(words, width)
        self.layers = nn.ModuleList([LlamaLayer(width, heads), LlamaLayer(width, heads)])
        self.norm = RmsNorm(width)
        frequencies = 1.0 / 100.0 ** (torch.arange(0, width // heads, 2) / (width // heads))
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, ids):
        angles = torch.arange(ids.shape[1]).float()[:, None] * self.frequencies
        rotation = (torch.cat([angles, angles], -1).cos(), torch.cat([angles, angles], -1).sin())
        x = self.embed_tokens(ids)
        for layer in self.layers:
            x = layer(x, rotation)
        return self.norm(x)


class Llama(nn.Module):
    """Llama's keys: no biases at all, so that TorchScript leaves the projections no parameter name."""

    std = 0.3

    def __init__(self):
        super().__init__()
        self.model = LlamaModel(8, 2, 11)
        self.lm_head = nn.Linear(8, 11, bias=False)

    def forward(self, ids):
        return self.lm_head(self.model(ids))
