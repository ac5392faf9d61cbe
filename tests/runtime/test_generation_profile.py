"""The profiler that a Python session is handed."""

from __future__ import annotations

from tokenclock.runtime.generation_profile import GenerationProfile


class Event:
    """An event of a device whose clock is a counter."""

    now_ms = 0.0

    def record(self) -> None:
        self.at_ms = Event.now_ms

    def elapsed_time(self, later: Event) -> float:
        return later.at_ms - self.at_ms


def _play(profile: GenerationProfile) -> None:
    Event.now_ms = 3.0
    profile.record_cuda_event("first_token")
    Event.now_ms = 12.5
    profile.record_cuda_event("last_token")
    profile.record_elapsed_time("first_token", "last_token", "generation_time")
    profile.add_aux_info("generation_step_count", 19)


def test_device_events_give_the_generation_time() -> None:
    profile = GenerationProfile(Event)
    assert (profile.generation_ns, profile.n_steps) == (None, None)
    _play(profile)
    assert (profile.generation_ns, profile.n_steps) == (9_500_000, 19)
    assert profile.is_recording_perf_profile is False


def test_without_events_the_hosts_clock_is_read() -> None:
    profile = GenerationProfile()
    _play(profile)
    assert profile.generation_ns is not None
    assert 0 <= profile.generation_ns < 1_000_000_000
