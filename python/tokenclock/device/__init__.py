"""What the GPU and the host say of themselves: memory, power, clocks, device facts."""
