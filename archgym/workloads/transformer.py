"""Transformers as matrix products: BERT-base, ViT-B/16, GPT-2 (prefill and decode).

All four are the same block, twelve times: width 768, 12 heads of 64, a feed-forward of 3072. The
blocks have one shape, so that each product is one layer with ``repeats=12`` (the list goes once
through a block, not twelve times). Query, key and value are one product (M x 768) . (768 x 2304).
Scores and context are one group a head and ``dynamic``: their second operand is K or V, no weight.
Softmax, normalisation, biases and embedding look-ups are left out.

- ``bert_base``: Devlin et al., NAACL 2019 (arXiv 1810.04805), with its pooler, no task head.
  Published: 22.5 G operations at 128 tokens, two to a MAC, and 109 M parameters (Jiao et al.,
  "TinyBERT", 2020, table 1); 109,482,240 with embeddings, norms and biases (bert-base-uncased).
- ``vit_b16``: Dosovitskiy et al., ICLR 2021 (arXiv 2010.11929), table 1; 14 x 14 patches and a class
  token. Published: 17.564 G MACs, 86,567,656 parameters (torchvision).
- ``gpt2_prefill``, ``gpt2_decode``: Radford et al., "Language Models are Unsupervised Multitask
  Learners", 2019, the smallest model. Scores are the full square, nothing is saved by the causal mask.
  The output layer (tied to the embedding) runs for one token, the one to be continued, as in serving.
  Published: 124,439,808 parameters; 291,648,307,200 operations, two to a MAC, for 1024 tokens with the
  output layer run for all of them (Karpathy, nanoGPT, "transformer_sizing").
"""

from __future__ import annotations

from archgym.errors import UsageError
from archgym.workload import Layer, Network

_WIDTH, _HEADS, _FEED_FORWARD, _BLOCKS = 768, 12, 3072, 12
_GPT2_CONTEXT, _GPT2_VOCABULARY = 1024, 50257


def bert_base(tokens: int = 128) -> Network:
    """BERT-base on one sequence.

    Args:
        tokens: sequence length, at most 512.
    """
    _check_tokens(tokens, 512)
    pooler = Layer.gemm("pooler", M=1, N=_WIDTH, K=_WIDTH)
    layers = (*_blocks(tokens, tokens), pooler)
    return Network("bert-base", layers, f"Devlin et al., NAACL 2019; {tokens} tokens")


def vit_b16() -> Network:
    """ViT-B/16, one 224x224 image: 196 patches and the class token."""
    patches = Layer.conv("patch_embed", 3, 224, 224, _WIDTH, 16, stride=16)
    head = Layer.gemm("head", M=1, N=1000, K=_WIDTH)
    return Network("vit-b16", (patches, *_blocks(197, 197), head), "Dosovitskiy et al., ICLR 2021; 224x224")


def gpt2_prefill(tokens: int = 1024) -> Network:
    """GPT-2 (124 M) reads a prompt and predicts the token after it.

    Args:
        tokens: length of the prompt, at most 1024.
    """
    _check_tokens(tokens, _GPT2_CONTEXT)
    return _gpt2("gpt2-prefill", tokens, tokens, f"prefill of {tokens} tokens")


def gpt2_decode(context: int = 1024) -> Network:
    """GPT-2 (124 M) generates one token.

    Args:
        context: entries of the key-value cache, the current token's included, at most 1024.
    """
    _check_tokens(context, _GPT2_CONTEXT)
    return _gpt2("gpt2-decode", 1, context, f"one token on a cache of {context}")


def _gpt2(name: str, tokens: int, context: int, what: str) -> Network:
    head = Layer.gemm("lm_head", M=1, N=_GPT2_VOCABULARY, K=_WIDTH)
    return Network(name, (*_blocks(tokens, context), head), f"Radford et al., 2019, GPT-2 small; {what}")


def _blocks(tokens: int, context: int) -> tuple[Layer, ...]:
    """The products of all blocks, for `tokens` new rows that attend to `context` rows."""
    depth = _WIDTH // _HEADS
    return (
        Layer.gemm("attention.qkv", tokens, 3 * _WIDTH, _WIDTH, repeats=_BLOCKS),
        Layer.gemm("attention.scores", tokens, context, depth, groups=_HEADS, repeats=_BLOCKS, dynamic=True),
        Layer.gemm("attention.context", tokens, depth, context, groups=_HEADS, repeats=_BLOCKS, dynamic=True),
        Layer.gemm("attention.out", tokens, _WIDTH, _WIDTH, repeats=_BLOCKS),
        Layer.gemm("mlp.up", tokens, _FEED_FORWARD, _WIDTH, repeats=_BLOCKS),
        Layer.gemm("mlp.down", tokens, _WIDTH, _FEED_FORWARD, repeats=_BLOCKS),
    )


def _check_tokens(tokens: int, most: int) -> None:
    if not 1 <= tokens <= most:
        raise UsageError(f"expected 1 to {most} tokens (the model's positions), got {tokens}")
