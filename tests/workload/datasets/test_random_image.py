"""random_image: pictures of the asked size and number, none like another, made again from their recipe."""

from __future__ import annotations

import base64
import io
import sys
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from tokenclock.errors import UsageError
from tokenclock.plan import RandomImageDataset, ServingPlan
from tokenclock.workload import Messages, build_workload

MakePlan = Callable[..., ServingPlan]


def parts_of(prompt: Any) -> list[dict[str, Any]]:
    assert isinstance(prompt, Messages)
    (message,) = prompt.to_list()
    assert message["role"] == "user"
    parts: list[dict[str, Any]] = message["content"]
    return parts


def test_each_request_has_text_and_pictures_of_its_own(make_plan: MakePlan) -> None:
    dataset = RandomImageDataset(input_len=5, output_len=3, width=24, height=16, num_images=2)
    workload = build_workload(make_plan(dataset, 3, backend="openai-chat"))
    urls = []
    for prompt in workload.prompts:
        text, *pictures = parts_of(prompt)
        assert (text["type"], len(text["text"].split()), len(pictures)) == ("text", 5, 2)
        for picture in pictures:
            head, _, data = picture["image_url"]["url"].partition(",")
            image = Image.open(io.BytesIO(base64.b64decode(data)))
            assert (head, image.format, image.size, image.mode) == ("data:image/jpeg;base64", "JPEG", (24, 16), "RGB")
            urls.append(data)
    assert len(set(urls)) == 6
    assert workload.osl_requested.tolist() == [3, 3, 3]
    assert workload.isl_requested.tolist() == [-1, -1, -1]
    assert parts_of(workload.prompts[1]) == parts_of(workload.prompts[1])
    (spare,) = workload.spare_prompts(1)
    assert parts_of(spare[0])[1]["image_url"]["url"].partition(",")[2] not in urls


def test_the_fingerprint_knows_seed_and_size(make_plan: MakePlan) -> None:
    def digest(seed: int = 0, **values: int) -> str:
        dataset = RandomImageDataset(input_len=5, **values)
        return build_workload(make_plan(dataset, 2, backend="openai-chat", seed=seed)).sha256

    assert digest() == digest()
    assert len({digest(), digest(width=8), digest(height=8), digest(num_images=2), digest(seed=1)}) == 5


def test_completions_and_a_missing_package_are_refused(make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="random_image needs --backend openai-chat: completions take no pictures"):
        build_workload(make_plan(RandomImageDataset()))
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(UsageError, match=r"pictures need the Pillow package: pip install 'tokenclock\[images\]'"):
        build_workload(make_plan(RandomImageDataset(), backend="openai-chat"))
