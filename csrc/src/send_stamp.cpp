#include "tokenclock/send_stamp.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>

#if defined(__linux__)
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>

#include <cstring>
#include <ctime>
#endif

namespace tokenclock {

#if defined(__linux__)

bool enable_send_stamps(int fd) noexcept {
  // OPT_TSONLY: stamps come back without the bytes that were sent
  const int flags = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_TSONLY;
  return ::setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &flags, sizeof flags) == 0;
}

ssize_t send_stamped(int fd, std::string_view bytes) noexcept {
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(std::uint32_t))]{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* item = CMSG_FIRSTHDR(&message);
  item->cmsg_level = SOL_SOCKET;
  item->cmsg_type = SO_TIMESTAMPING;
  item->cmsg_len = CMSG_LEN(sizeof(std::uint32_t));
  const std::uint32_t wanted = SOF_TIMESTAMPING_TX_SOFTWARE;
  std::memcpy(CMSG_DATA(item), &wanted, sizeof wanted);
  const ssize_t n = ::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (n >= 0 || errno != EINVAL) return n;
  return ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

std::int64_t take_send_stamp(int fd) noexcept {
  std::int64_t t_realtime_ns = kMissingNs;
  while (true) {
    // three timespecs and a sock_extended_err with an address come
    alignas(cmsghdr) char control[256];
    msghdr message{};
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t n = ::recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return t_realtime_ns;
    for (cmsghdr* item = CMSG_FIRSTHDR(&message); item != nullptr; item = CMSG_NXTHDR(&message, item)) {
      if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_TIMESTAMPING) continue;
      timespec software{};
      std::memcpy(&software, CMSG_DATA(item), sizeof software);  // the first of the three is the software stamp
      if (software.tv_sec == 0 && software.tv_nsec == 0) continue;
      t_realtime_ns = std::int64_t{software.tv_sec} * 1'000'000'000 + software.tv_nsec;
    }
  }
}

#else  // no stamps

bool enable_send_stamps(int /*fd*/) noexcept { return false; }

ssize_t send_stamped(int fd, std::string_view bytes) noexcept {
  return ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

std::int64_t take_send_stamp(int /*fd*/) noexcept { return kMissingNs; }

#endif

}  // namespace tokenclock
