"""The dataset `trace`: requests as they were recorded, when they were recorded; contents made up where it has none."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from tokenclock.errors import UsageError
from tokenclock.plan import MOST_REQUESTS, ServingPlan, TraceDataset
from tokenclock.plan_checks import require_room
from tokenclock.workload.assemble import assemble
from tokenclock.workload.datasets.chat_form import ChatForm
from tokenclock.workload.datasets.measure import LengthMeter
from tokenclock.workload.datasets.trace import Trace
from tokenclock.workload.datasets.trace_contents import shares_beginnings, trace_prompts
from tokenclock.workload.datasets.trace_reading import read_trace
from tokenclock.workload.datasets.trace_times import due_of_trace, sliced
from tokenclock.workload.kinds import PromptKind, choose_kind, notes_on_outcome
from tokenclock.workload.messages import Messages, Prompt
from tokenclock.workload.prompts import TokenPrompts
from tokenclock.workload.realised import Workload
from tokenclock.workload.streams import content_stream, stream
from tokenclock.workload.tokenizer import Tokenizer, find_tokenizer

__all__ = ["build_trace", "workload_of_trace"]


def build_trace(plan: ServingPlan, dataset: TraceDataset, n_vocab: int | None) -> Workload:
    """The first rows of the slice, in their order, each once. Raises UsageError for a file that is no trace."""
    whole = read_trace(dataset.path, dataset.form)
    trace = sliced(whole, dataset, plan.load.num_prompts)
    notes = list(trace.notes)
    if len(trace) < plan.load.num_prompts < MOST_REQUESTS:
        notes.append(f"{dataset.path}: {len(trace)} rows are sent of the {plan.load.num_prompts} asked for")
    due_ns, mean_rate = due_of_trace(plan, dataset, trace)
    mean_rate = None if trace.has_sessions else mean_rate  # of conversations, not of requests
    return workload_of_trace(plan, dataset, trace, n_vocab, notes=notes, due_ns=due_ns, mean_rate=mean_rate)


def workload_of_trace(
    plan: ServingPlan,
    dataset: TraceDataset,
    trace: Trace,
    n_vocab: int | None,
    *,
    notes: Sequence[str] = (),
    due_ns: npt.NDArray[np.int64] | None = None,
    mean_rate: float | None = None,
) -> Workload:
    """All rows of `trace`; `due_ns`: when each is due (default: drawn at the plan's rate)."""
    tokenizer = find_tokenizer(plan)
    kind = choose_kind(
        tokenizer,
        chat=plan.endpoint.wants_text,
        tokenize_on_client=dataset.tokenize_on_client,
        vocab_size=dataset.vocab_size,
        n_vocab=n_vocab,
    )
    osl = trace.osl.astype(np.int32)
    if trace.prompts is not None:
        prompts, isl, realised = _own_contents(plan, trace, tokenizer)
        said: tuple[str, ...] = ()
    else:
        require_room(len(trace), int(trace.isl.sum()))
        isl = trace.isl.astype(np.int32)
        prompts, realised = trace_prompts(trace, kind, content_stream("content", plan))
        said = (*kind.notes, *notes_on_outcome(isl, realised, 0, ""))

    def draw_spares(count: int) -> list[tuple[Prompt, int]]:
        return _spares(plan, trace, kind, count)

    return assemble(
        plan,
        prompts,
        isl=isl,
        isl_realised=realised,
        osl=osl,
        draw_spares=draw_spares,
        tokenizer=tokenizer,
        notes=(*said, *notes, *_notes_on_sessions(trace, tokenizer, prompts)),
        due_ns=due_ns,
        mean_rate=mean_rate,
        shared_prefix=shares_beginnings(trace) or trace.has_sessions,
        recorded=trace.prompts is not None,
        adapters=trace.lora,
        session=trace.session if trace.has_sessions else None,
        think_ms=trace.delay_ms,
        answer_ids=_answers(tokenizer, kind, plan) if trace.has_sessions else None,
    )


def _answers(tokenizer: Tokenizer | None, kind: PromptKind, plan: ServingPlan) -> Callable[[str, int], list[int]]:
    """Token ids of an answer: the tokenizer's, or for want of one as many drawn ids."""
    if tokenizer is not None:
        return lambda text, _: tokenizer.ids([text], special=False)[0]
    generator = content_stream("answers", plan)
    choices = kind.choices
    return lambda _, n: choices[generator.integers(len(choices), size=max(n, 0))].tolist()


def _notes_on_sessions(trace: Trace, tokenizer: Tokenizer | None, prompts: Sequence[Prompt]) -> list[str]:
    if not trace.has_sessions or tokenizer is not None or not isinstance(prompts, TokenPrompts):
        return []
    return [
        "no tokenizer: in later turns as many drawn token ids stand for each answer of the server, so a prefix cache "
        "finds the turns before in part only (--tokenizer DIR feeds the answers back)"
    ]


def _own_contents(
    plan: ServingPlan, trace: Trace, tokenizer: Tokenizer | None
) -> tuple[Sequence[Prompt], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """What the rows hold: token ids as they are, texts and messages in the form of the backend."""
    given = trace.prompts or ()
    kinds = {_kind_of(prompt) for prompt in given}
    if len(kinds) > 1 and kinds != {"text", "messages"}:
        raise UsageError(
            f"{trace.path}: rows must all hold token ids, or all text or messages, got {', '.join(sorted(kinds))}"
        )
    if kinds == {"ids"}:
        if plan.endpoint.wants_text and not plan.endpoint.is_chat:
            raise UsageError(
                f"{trace.path} holds token ids, which --backend {plan.endpoint.backend} cannot send; use openai or "
                "openai-chat"
            )
        rows = [np.asarray(prompt, dtype=np.int32) for prompt in given]
        offsets = np.concatenate(([0], np.cumsum([len(row) for row in rows]))).astype(np.int64)
        isl = np.diff(offsets).astype(np.int32)
        return TokenPrompts(np.concatenate(rows), offsets), isl, isl
    form = ChatForm(plan, LengthMeter(tokenizer), template="messages" in kinds)
    chats = [
        ([{"role": "user", "content": prompt}] if isinstance(prompt, str) else _messages(prompt), 1) for prompt in given
    ]
    made = list(form.rows(chats))
    isl = np.array([row.isl for row in made], dtype=np.int32)
    return [row.prompt for row in made], isl, isl.copy()


def _messages(prompt: Prompt | None) -> list[dict[str, object]]:
    assert isinstance(prompt, Messages)
    return prompt.to_list()


def _kind_of(prompt: Prompt | None) -> str:
    if prompt is None:
        return "lengths alone"
    if isinstance(prompt, str):
        return "text"
    return "messages" if isinstance(prompt, Messages) else "ids"


def _spares(plan: ServingPlan, trace: Trace, kind: PromptKind, count: int) -> list[tuple[Prompt, int]]:
    """Rows of drawn lengths of the trace, with contents that no row has; 64 tokens where the trace tells no lengths."""
    rows = stream("spare_lengths", plan.load.seed).integers(len(trace), size=count)
    lengths = np.where(trace.isl[rows] > 0, trace.isl[rows], 64).astype(np.int32)
    no_prefix, taken, content = np.empty(0, dtype=np.int32), set[bytes](), content_stream("spare_content", plan)
    osl = trace.osl[rows].tolist()
    return [(kind.draw(content, lengths[n : n + 1], no_prefix, taken)[0][0], int(osl[n])) for n in range(count)]
