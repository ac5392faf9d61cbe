#include "tokenclock/receive_stamp.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>

#if defined(__linux__)
#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#include <cstring>
#include <ctime>
#include <mutex>
#endif

namespace tokenclock {

#if defined(__linux__)

namespace {

constexpr std::int64_t kWakeLimitNs = 100'000'000;

// A connected loopback pair of TCP sockets; closes what it still owns.
struct LoopbackPair {
  int sender = -1;
  int receiver = -1;

  LoopbackPair() = default;
  LoopbackPair(const LoopbackPair&) = delete;
  LoopbackPair& operator=(const LoopbackPair&) = delete;
  ~LoopbackPair() { close_both(); }

  void close_both() noexcept {
    if (sender >= 0) ::close(sender);
    if (receiver >= 0) ::close(receiver);
    sender = receiver = -1;
  }

  bool open() noexcept {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0) return false;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* any_address = reinterpret_cast<sockaddr*>(&address);
    bool ok = ::bind(listener, any_address, size) == 0 && ::listen(listener, 1) == 0 &&
              ::getsockname(listener, any_address, &size) == 0;
    if (ok) {
      sender = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      ok = sender >= 0 && ::connect(sender, any_address, size) == 0;
    }
    if (ok) {
      receiver = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
      const int on = 1;
      ok = receiver >= 0 && ::setsockopt(sender, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 &&
           enable_receive_stamps(receiver);
    }
    ::close(listener);
    if (!ok) close_both();
    return ok;
  }
};

struct PrivatePair {
  std::mutex mutex;
  LoopbackPair pair;
};

// Open for the life of the process once it was needed.
PrivatePair& private_pair() noexcept {
  static PrivatePair instance;
  return instance;
}

std::int64_t monotonic_ns() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

bool enable_receive_stamps(int fd) noexcept {
  const int flags = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
  return ::setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &flags, sizeof flags) == 0;
}

Received receive_stamped(int fd, void* buffer, std::size_t size) noexcept {
  iovec part{buffer, size};
  // Three timespecs come; twice the room lets an unasked message of another kind pass as well.
  alignas(cmsghdr) char control[CMSG_SPACE(3 * sizeof(timespec)) * 2];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  Received received{-1, 0, kMissingNs};
  do {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    received.n_bytes = ::recvmsg(fd, &message, MSG_DONTWAIT);
  } while (received.n_bytes < 0 && errno == EINTR);
  if (received.n_bytes < 0) {
    received.error = errno;
    return received;
  }
  for (cmsghdr* item = CMSG_FIRSTHDR(&message); item != nullptr; item = CMSG_NXTHDR(&message, item)) {
    if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_TIMESTAMPING) continue;
    timespec software{};
    std::memcpy(&software, CMSG_DATA(item), sizeof software);  // the first of the three is the software stamp
    if (software.tv_sec != 0 || software.tv_nsec != 0) {
      received.t_realtime_ns = std::int64_t{software.tv_sec} * 1'000'000'000 + software.tv_nsec;
    }
  }
  return received;
}

bool wake_kernel_stamping() noexcept {
  static bool works = false;
  auto& [mutex, pair] = private_pair();
  const std::lock_guard lock(mutex);
  if (works) return true;
  if (pair.receiver < 0 && !pair.open()) return false;
  const std::int64_t t_limit_ns = monotonic_ns() + kWakeLimitNs;
  do {
    char byte = 0;
    if (::send(pair.sender, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1) return false;
    pollfd readable{pair.receiver, POLLIN, 0};
    if (::poll(&readable, 1, 10) != 1) continue;
    const Received received = receive_stamped(pair.receiver, &byte, 1);
    if (received.n_bytes <= 0 && received.error != EAGAIN) return false;
    works = received.t_realtime_ns != kMissingNs;
    if (!works) {
      const timespec pause{0, 200'000};
      ::nanosleep(&pause, nullptr);
    }
  } while (!works && monotonic_ns() < t_limit_ns);
  return works;
}

void warm_send_path() noexcept {
  auto& [mutex, pair] = private_pair();
  const std::lock_guard lock(mutex);
  if (pair.receiver < 0) return;
  char byte = 0;
  if (::send(pair.sender, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1) receive_stamped(pair.receiver, &byte, 1);
}

#else  // no SO_TIMESTAMPING: plain reads, user-space stamps

bool enable_receive_stamps(int /*fd*/) noexcept { return false; }

Received receive_stamped(int fd, void* buffer, std::size_t size) noexcept {
  Received received{-1, 0, kMissingNs};
  do {
    received.n_bytes = ::recv(fd, buffer, size, MSG_DONTWAIT);
  } while (received.n_bytes < 0 && errno == EINTR);
  if (received.n_bytes < 0) received.error = errno;
  return received;
}

bool wake_kernel_stamping() noexcept { return false; }

void warm_send_path() noexcept {}

#endif

}  // namespace tokenclock
