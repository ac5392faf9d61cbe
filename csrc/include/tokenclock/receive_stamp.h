// Kernel receive stamps of stream sockets: switching them on, reading them, and waking the kernel's stamping up.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "tokenclock/clock.h"

namespace tokenclock {

// Asks for a software receive stamp with every read of `fd`. False where the platform or the sandbox has none.
bool enable_receive_stamps(int fd) noexcept;

struct Received {
  ssize_t n_bytes;             // what recvmsg returned: > 0 bytes, 0 the peer closed, -1 see error
  int error;                   // errno when n_bytes is -1, else 0
  std::int64_t t_realtime_ns;  // CLOCK_REALTIME at which the last segment read came in; kMissingNs when not stamped
};

// One non-blocking read (EAGAIN when there is nothing, whatever the mode of `fd`); repeats itself when interrupted.
Received receive_stamped(int fd, void* buffer, std::size_t size) noexcept;

// The kernel switches stamping on some time after the first socket asked, and off again after the last one closed.
// Plays ping on a private loopback pair until a stamp comes (100 ms at most) and keeps the pair open for the life of
// the process. Returns whether stamps work here. Any thread; cheap once it succeeded.
bool wake_kernel_stamping() noexcept;

// Sends a byte over that pair and reads it, where it is open: the next send of this thread then finds the kernel's code
// and data in the caches. From cold ones the way from send() to the stamp takes 35 us instead of 4.
void warm_send_path() noexcept;

}  // namespace tokenclock
