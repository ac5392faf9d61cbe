"""What the GPU and the host say of themselves: device time, memory, power, clocks, device facts.

NVML is asked by child processes only (`nvml_sampler`, `facts_process`), so that the measured process is left alone.
"""
