// Kernel send stamps of stream sockets: when the last byte of a send went to the device, in loopback 1 us before it
// comes in.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string_view>

#include "tokenclock/clock.h"

namespace tokenclock {

// Lets sends of `fd` ask for a stamp, and reads have theirs (receive_stamp.h). False where the platform has none.
bool enable_send_stamps(int fd) noexcept;

// send() without blocking or SIGPIPE that asks for a stamp; returns what sendmsg does. Where the kernel refuses to
// stamp, it sends all the same.
ssize_t send_stamped(int fd, std::string_view bytes) noexcept;

// Takes the stamps that lie ready; returns the latest, CLOCK_REALTIME ns, or kMissingNs when there is none (yet). While
// one lies there, the poller calls the socket failed.
std::int64_t take_send_stamp(int fd) noexcept;

}  // namespace tokenclock
