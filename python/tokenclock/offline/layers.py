"""The second, layer-profiled pass over the cases, after all of them were timed: a profiler that has once been attached
to a model may slow it for good."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tokenclock.layers import LayerInfo, LayerTime
from tokenclock.offline.agreement import CaseFailed, CaseRefused, together
from tokenclock.offline.loop import set_up
from tokenclock.parallel import World
from tokenclock.plan_benchmark import BenchmarkCase, BenchmarkPlan
from tokenclock.result_benchmark import case_label
from tokenclock.runtime.layers import LayerLister, LayerProfiler
from tokenclock.runtime.protocol import Runtime

__all__ = ["CaseLayers", "list_layers", "profile_cases", "what_is_missing"]

CaseLayers = tuple[BenchmarkCase, Sequence[LayerTime]]

_PROFILED_BY = "these do: transformers, and trtllm-engine without the executor"
_LISTED_BY = "these do: ctranslate2, transformers, and trtllm-engine without the executor"


def what_is_missing(plan: BenchmarkPlan, runtime: Runtime) -> list[str]:
    """One line for each flag that has no effect on this runtime."""
    through = runtime.model.details.get("through")
    name = f"{runtime.name} ({through})" if through else runtime.name
    remedy = "; leave --no-streaming out" if through == "ModelRunnerCpp" else ""
    lines = []
    if plan.model.torch_compile and runtime.name != "transformers":
        lines.append(f"--torch_compile is idle: the runtime {name} does not run on PyTorch here (transformers does)")
    if plan.model.extra_llm_api_options is not None and runtime.name != "trtllm-llm":
        lines.append(f"--extra_llm_api_options is idle: the runtime {name} does not read it (trtllm-llm does)")
    if plan.output.dump_profile and not isinstance(runtime, LayerProfiler):
        lines.append(f"--dump_profile is idle: the runtime {name} times no single layers{remedy} ({_PROFILED_BY})")
    if plan.output.dump_layer_info and not isinstance(runtime, LayerLister):
        lines.append(f"--dump_layer_info is idle: the runtime {name} lists no layers{remedy} ({_LISTED_BY})")
    return lines


def list_layers(runtime: Runtime, say: Callable[[str], None]) -> Sequence[LayerInfo]:
    """The layers of this rank's part; none, with the reason said, where the runtime fails to tell."""
    if not isinstance(runtime, LayerLister):
        return ()
    try:
        return runtime.list_layers()
    except Exception as error:  # a list that is not had is no reason to lose the run
        say(f"--dump_layer_info: the layers could not be listed: {type(error).__name__}: {error}")
        return ()


def profile_cases(
    plan: BenchmarkPlan,
    runtime: Runtime,
    world: World,
    measured: Sequence[int],
    say: Callable[[str], None],
    stop_requested: Callable[[], bool],
) -> list[CaseLayers]:
    """Run each measured case once more, warmed up and with its layers timed; called by all ranks together.

    Args:
        plan: of the run.
        runtime: the model, all of whose cases were timed.
        world: the ranks.
        measured: indices of the cases, the same on every rank.
        say: told why a case has no profile.
        stop_requested: whether this rank was told to stop.

    Returns:
        The cases that were profiled, each with this rank's layers.
    """
    found: list[CaseLayers] = []
    if not isinstance(runtime, LayerProfiler):
        return found
    lockstep = runtime.ranks == "spmd"
    for case in plan.cases():
        if case.index not in measured:
            continue
        if any(world.gather_all(stop_requested())):
            say("stopped before all cases were profiled")
            break
        try:
            found.append((case, _profile(plan, runtime, world, case, lockstep=lockstep)))
        except (CaseFailed, CaseRefused) as error:
            say(f"{case_label(case)}: no layer profile: {error}")
        try:
            with together(world, lockstep=False):
                runtime.release()
        except (CaseFailed, CaseRefused) as error:
            say(f"{case_label(case)}: {error} (in release, after the layer profile)")
    return found


def _profile(
    plan: BenchmarkPlan, runtime: Runtime, world: World, case: BenchmarkCase, *, lockstep: bool
) -> Sequence[LayerTime]:
    assert isinstance(runtime, LayerProfiler)
    with together(world, lockstep=lockstep):
        runtime.prepare(case, plan.seed)
    for _ in range(plan.loop.warm_up):
        set_up(runtime, world, lockstep=lockstep)
        with together(world, lockstep=lockstep):
            runtime.run(None)
    set_up(runtime, world, lockstep=lockstep)
    layers: Sequence[LayerTime] = ()
    with together(world, lockstep=lockstep):
        layers = runtime.profile_layers()
    return layers  # noqa: RET504  # not in the block: leaving it is where the ranks meet
