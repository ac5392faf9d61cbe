from __future__ import annotations

from tokenclock.offline.device_time import DeviceTimer, device_timer


def test_no_stream_no_events_and_nothing_to_say() -> None:
    assert device_timer(None, 20) == (None, None)


def test_a_stream_without_a_device_says_why() -> None:
    timer, problem = device_timer(1 << 40, 20)
    if timer is None:
        assert problem is not None
        assert "\n" not in problem


def test_more_steps_than_there_are_events_for_are_left_out() -> None:
    recorded: list[int] = []

    class Pool:
        def clear(self) -> None:
            recorded.clear()

        def record(self, event: int, stream: int) -> None:
            recorded.append(event)

    timer = DeviceTimer(Pool(), 5, 2)
    timer.start()
    for _ in range(4):
        timer.step()
    timer.stop()
    assert recorded == [0, 1, 2, 3]  # start, two steps, end
