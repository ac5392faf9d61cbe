"""Times a call of your own: wrap it, and run a plan on it. Here the "model" only waits; put yours in its place.

python examples/own_model.py
"""

import time

from tokenclock import BenchmarkPlan, LoopPlan, UserRuntime, run_benchmark


def generate(case, on_step):
    for _ in range(case.output_len):
        time.sleep(0.001)  # one step of your model, for all `case.batch_size` rows
        if on_step is not None:
            on_step()  # its tokens are there


plan = BenchmarkPlan(batch_sizes=(1, 8), lengths=((60, 20),), loop=LoopPlan(duration_s=1))
result = run_benchmark(plan, runtime=UserRuntime(generate, streams=True))
for case in result.cases:
    latency, ttft = case["latencies"]["latency"], case["latencies"]["ttft"]
    print(
        f"{case['label']}: median {latency['median'] / 1e6:.2f} ms of {case['n']} runs, "
        f"95 % interval {latency['median_interval_95']}, TTFT {ttft['median'] / 1e6:.2f} ms"
    )
