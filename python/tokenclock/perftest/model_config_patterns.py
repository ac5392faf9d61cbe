"""Which labels get which PyTorch options. Later entries win; a pattern is made of whole tokens of a label.

``con>=1024`` stands for a token ``con:N`` with N of 1024 or more, and ``maxnt<=1024`` for one of 1024 or less.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["PATTERNS"]

PATTERNS: tuple[tuple[tuple[str, ...], Mapping[str, Any]], ...] = (
    (
        ("deepseek_r1...-bench-pytorch",),
        {"enable_attention_dp": True},
    ),
    (
        (
            "deepseek_r1...-bench-pytorch-maxbs:1",
            "deepseek_r1...-bench-pytorch-con:1",
        ),
        {
            "enable_attention_dp": False,
            "speculative_config": {"decoding_type": "MTP", "num_nextn_predict_layers": 3},
        },
    ),
    (
        ("deepseek_r1_nvfp4...-bench-pytorch",),
        {"moe_config": {"backend": "TRTLLM"}},
    ),
    (
        ("bench-pytorch-streaming-con>=1024",),
        {"stream_interval": 10, "num_postprocess_workers": 4},
    ),
    (
        ("bench-pytorch-maxbs:1",),
        {"cuda_graph_config": {"enable_padding": True, "batch_sizes": [1]}},
    ),
    (
        ("bench-pytorch-maxnt<=1024",),
        {"enable_chunked_prefill": True},
    ),
)
"""Patterns, of which any must match, and what they add."""
