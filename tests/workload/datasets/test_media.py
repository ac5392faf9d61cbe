"""Pictures that rows name by their files."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from tokenclock.errors import UsageError
from tokenclock.plan import ServingPlan, TraceDataset
from tokenclock.workload import Messages, build_workload


def test_pictures_are_sent_inside_the_message(
    make_plan: Callable[..., ServingPlan], lines_file: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(b"bytes of a picture")
    path = lines_file({"task_id": 0, "prompt": "what is it?", "media_paths": ["a.png"], "output_tokens": 3})
    workload = build_workload(make_plan(TraceDataset(path), 1, backend="openai-chat"))
    (message,) = workload.prompts[0].to_list() if isinstance(workload.prompts[0], Messages) else [{}]
    text, picture = message["content"]
    assert text == {"type": "text", "text": "what is it?"}
    data = base64.b64encode(b"bytes of a picture").decode()
    assert picture == {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
    with pytest.raises(UsageError, match="pictures or other parts need --backend openai-chat"):
        build_workload(make_plan(TraceDataset(path), 1))


@pytest.mark.parametrize(
    ("media", "said"),
    [
        (["none.jpg"], r"1: media_paths: none.jpg cannot be read \(No such file"),
        (["film.mp4"], r"1: media_paths must name pictures \(.jpg, .png, ...\), got film.mp4"),
        ("a.png", "1: media_paths must be a list of paths, got a.png"),
    ],
)
def test_what_is_no_picture_is_said_with_its_line(
    make_plan: Callable[..., ServingPlan], lines_file: Callable[..., str], media: object, said: str
) -> None:
    path = lines_file({"prompt": "x", "media_paths": media, "output_tokens": 3})
    with pytest.raises(UsageError, match=said):
        build_workload(make_plan(TraceDataset(path), 1, backend="openai-chat"))
