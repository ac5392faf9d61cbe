"""trtllm_custom and custom: what becomes of messages for chat and for completions, and wrong rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tokenclock.errors import UsageError
from tokenclock.plan import CustomDataset, ServingPlan, TrtllmCustomDataset
from tokenclock.workload import Messages, build_workload

MakePlan = Callable[..., ServingPlan]
Lines = Callable[..., str]
SYSTEM, USER = {"role": "system", "content": "w1 w2"}, {"role": "user", "content": "w3 w4 w5"}


def chat_row(max_tokens: Any = 7, *messages: dict[str, Any]) -> dict[str, Any]:
    return {"input": {"messages": list(messages or (SYSTEM, USER)), "max_tokens": max_tokens}}


def test_chat_gets_all_messages(lines_file: Lines, make_plan: MakePlan, word_tokenizer: str) -> None:
    path = lines_file(chat_row(7), chat_row(8, USER))
    workload = build_workload(make_plan(TrtllmCustomDataset(path), 2, backend="openai-chat", tokenizer=word_tokenizer))
    first, second = workload.prompts
    assert isinstance(first, Messages)
    assert first.to_list() == [SYSTEM, USER]
    assert second == "w3 w4 w5"
    assert workload.osl_requested.tolist() == [7, 8]
    assert workload.isl_requested.tolist() == [15, 10]  # <s>, 3 for each role, 5 or 3 words, 3 for the answer's role
    assert not workload.shared_prefix


def test_completions_get_the_template_without_a_second_begin(
    lines_file: Lines, make_plan: MakePlan, word_tokenizer: str
) -> None:
    path = lines_file(chat_row())
    workload = build_workload(make_plan(TrtllmCustomDataset(path), 1, tokenizer=word_tokenizer))
    assert list(workload.prompts) == ["[ system ] w1 w2 [ user ] w3 w4 w5 [ assistant ]"]
    assert workload.isl_requested.tolist() == [15]  # the server's `<s>` and 14 words
    bare = build_workload(make_plan(TrtllmCustomDataset(path, chat_template=False), 1, tokenizer=word_tokenizer))
    assert list(bare.prompts) == ["w1 w2\n\nw3 w4 w5"]
    assert bare.isl_requested.tolist() == [6]
    unknown = build_workload(make_plan(TrtllmCustomDataset(path), 1))
    assert list(unknown.prompts) == ["w1 w2\n\nw3 w4 w5"]
    assert unknown.isl_requested.tolist() == [-1]
    assert unknown.notes == (
        "no chat template (--tokenizer DIR with one): the text of a prompt's messages is sent as it is",
    )


def test_as_many_rows_as_asked_for_in_the_order_of_the_file(lines_file: Lines, make_plan: MakePlan) -> None:
    path = lines_file(*(chat_row(1 + number, SYSTEM, {**USER, "content": f"w{number}"}) for number in range(9)))
    workload = build_workload(make_plan(TrtllmCustomDataset(path), 5, backend="openai-chat"))
    assert workload.osl_requested.tolist() == [1, 2, 3, 4, 5]
    assert workload.shared_prefix  # the system's words are the same


def test_custom_lengths_and_unused_keys(lines_file: Lines, make_plan: MakePlan) -> None:
    path = lines_file({"prompt": "a b", "output_tokens": 3, "id": 1}, {"prompt": "c", "output_tokens": 4})
    fixed = build_workload(make_plan(CustomDataset(path, shuffle=False), 2, backend="openai-chat"))
    assert (list(fixed.prompts), fixed.osl_requested.tolist()) == (["a b", "c"], [256, 256])
    assert fixed.notes == (f"{path}: keys that are not used: id (1 rows)",)
    own = build_workload(make_plan(CustomDataset(path, output_len=-1, shuffle=False), 2))
    assert own.osl_requested.tolist() == [3, 4]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"messages": []}, "expected the key input, got messages"),
        ({"input": 3}, "input must be an object, got int"),
        ({"input": {"messages": [USER], "max_token": 3}}, "unknown key max_token (did you mean max_tokens?)"),
        ({"input": {"messages": [USER]}}, "expected the key max_tokens, got messages"),
        ({"input": {"messages": [], "max_tokens": 3}}, "messages must be a list of messages, got []"),
        (chat_row(3, {"role": "user"}), "messages[0] must have the key content, got role"),
        (chat_row(3, {"role": "me", "content": "x"}),
         "messages[0].role must be one of system, developer, user, assistant, tool, got 'me'"),
        (chat_row(3, {"role": "user", "content": 4}), "messages[0].content must be text, got 4"),
        (chat_row(0), "max_tokens must be a whole number from 1 to 10000000, got 0"),
        (chat_row(True), "max_tokens must be a whole number from 1 to 10000000, got True"),
        (chat_row("7"), "max_tokens must be a whole number from 1 to 10000000, got '7'"),
    ],
)  # fmt: skip
def test_wrong_chats_are_refused_with_their_line(lines_file: Lines, make_plan: MakePlan, row: Any, said: str) -> None:
    path = lines_file(chat_row(), row)
    with pytest.raises(UsageError) as caught:
        build_workload(make_plan(TrtllmCustomDataset(path)))
    assert str(caught.value) == f"{path}:2: {said}"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"promt": "x"}, "unknown key promt (did you mean prompt?)"),
        ({"text": "x"}, "expected the key prompt, got text"),
        ({"prompt": ["x"], "output_tokens": 1}, "prompt must be text, got ['x']"),
        ({"prompt": "", "output_tokens": 1}, "prompt is empty; servers refuse an empty prompt"),
        ({"prompt": "x", "output_token": 3}, "unknown key output_token (did you mean output_tokens?)"),
        ({"prompt": "x"}, "expected the key output_tokens, got prompt"),
        ({"prompt": "x", "output_tokens": 2.5}, "output_tokens must be a whole number from 1 to 10000000, got 2.5"),
    ],
)
def test_wrong_prompts_are_refused_with_their_line(lines_file: Lines, make_plan: MakePlan, row: Any, said: str) -> None:
    path = lines_file({"prompt": "x", "output_tokens": 1}, row)
    with pytest.raises(UsageError) as caught:
        build_workload(make_plan(CustomDataset(path, output_len=-1)))
    assert str(caught.value) == f"{path}:2: {said}"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{% if %}", "Expected an expression, got 'end of statement block'; leave it out with --skip-chat-template"),
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate; leave it out with --skip-chat-temp"),
    ],
)
def test_a_template_that_fails_is_one_line(
    lines_file: Lines, make_plan: MakePlan, word_tokenizer: str, template: str, said: str
) -> None:
    (Path(word_tokenizer) / "chat_template.jinja").write_text(template, "utf-8")
    with pytest.raises(UsageError) as caught:
        build_workload(make_plan(CustomDataset(lines_file({"prompt": "x"})), tokenizer=word_tokenizer))
    assert str(caught.value).startswith(f"the chat template in {word_tokenizer}: {said}")


def test_without_jinja2_the_template_says_what_to_install(
    lines_file: Lines, make_plan: MakePlan, word_tokenizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jinja2.sandbox", None)
    path = lines_file({"prompt": "w1"})
    with pytest.raises(UsageError, match=r"needs the jinja2 package: pip install 'tokenclock\[serving\]', or leave it"):
        build_workload(make_plan(CustomDataset(path), tokenizer=word_tokenizer))
    bare = build_workload(make_plan(CustomDataset(path, chat_template=False), 1, tokenizer=word_tokenizer))
    assert bare.isl_requested.tolist() == [2]
    chat = build_workload(make_plan(CustomDataset(path), 1, backend="openai-chat", tokenizer=word_tokenizer))
    assert chat.isl_requested.tolist() == [-1]


def test_pictures_in_messages_need_chat(lines_file: Lines, make_plan: MakePlan) -> None:
    parts = {"role": "user", "content": [{"type": "text", "text": "x"}]}
    path = lines_file(chat_row(3, parts))
    (prompt,) = build_workload(make_plan(TrtllmCustomDataset(path), 1, backend="openai-chat")).prompts
    assert isinstance(prompt, Messages)
    assert prompt.to_list() == [parts]
    with pytest.raises(UsageError, match="messages with pictures or other parts need --backend openai-chat"):
        build_workload(make_plan(TrtllmCustomDataset(path), 1))


def test_a_key_nearly_like_one_that_is_there_is_said(lines_file: Lines, make_plan: MakePlan) -> None:
    inner = {"messages": [{"role": "user", "content": "a"}], "max_tokens": 3, "max_token": 5}
    workload = build_workload(make_plan(TrtllmCustomDataset(lines_file({"input": inner})), 1))
    assert any("keys that are not used: max_token (1 rows)" in note for note in workload.notes)
