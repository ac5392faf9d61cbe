// Stamps over a loopback TCP pair: what a read returns, and that the stamp lies between the send and the read.
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <string_view>

#include "check.h"
#include "tokenclock/receive_stamp.h"

namespace {

std::int64_t realtime_ns() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

struct Pair {
  int sender = -1;
  int receiver = -1;
};

Pair connected_pair() {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(listener >= 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  CHECK(bind(listener, reinterpret_cast<sockaddr*>(&address), size) == 0);
  CHECK(listen(listener, 1) == 0);
  CHECK(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  Pair pair;
  pair.sender = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(pair.sender >= 0);
  CHECK(connect(pair.sender, reinterpret_cast<sockaddr*>(&address), size) == 0);
  pair.receiver = accept(listener, nullptr, nullptr);
  CHECK(pair.receiver >= 0);
  close(listener);
  return pair;
}

}  // namespace

int main() {
  using tokenclock::kMissingNs;
  const bool works = tokenclock::wake_kernel_stamping();
  CHECK_EQ(tokenclock::wake_kernel_stamping(), works);

  const Pair pair = connected_pair();
  const bool enabled = tokenclock::enable_receive_stamps(pair.receiver);
  CHECK(enabled || !works);

  char buffer[64];
  const auto nothing = tokenclock::receive_stamped(pair.receiver, buffer, sizeof buffer);
  CHECK_EQ(nothing.n_bytes, -1);
  CHECK(nothing.error == EAGAIN || nothing.error == EWOULDBLOCK);
  CHECK_EQ(nothing.t_realtime_ns, kMissingNs);

  // The wall clock may be stepped under a test; a stamp outside of the bracket three times in a row is no accident.
  bool bracketed = false;
  for (int attempt = 0; attempt < 3 && !bracketed; ++attempt) {
    const std::int64_t t_before_ns = realtime_ns();
    CHECK_EQ(send(pair.sender, "hello", 5, 0), 5);
    pollfd readable{pair.receiver, POLLIN, 0};
    CHECK_EQ(poll(&readable, 1, 2000), 1);
    const auto received = tokenclock::receive_stamped(pair.receiver, buffer, sizeof buffer);
    CHECK_EQ(received.n_bytes, 5);
    CHECK_EQ(received.error, 0);
    CHECK_EQ(std::string_view(buffer, 5), "hello");
    CHECK_EQ(received.t_realtime_ns != kMissingNs, works);
    bracketed = !works || (received.t_realtime_ns >= t_before_ns && received.t_realtime_ns <= realtime_ns());
  }
  CHECK(bracketed);

  // what is sent to keep the path warm is read again, however often, and reaches nobody else
  for (int i = 0; i < 20'000; ++i) tokenclock::warm_send_path();
  CHECK_EQ(tokenclock::receive_stamped(pair.receiver, buffer, sizeof buffer).n_bytes, -1);
  CHECK_EQ(tokenclock::wake_kernel_stamping(), works);

  close(pair.sender);
  pollfd readable{pair.receiver, POLLIN, 0};
  CHECK_EQ(poll(&readable, 1, 2000), 1);
  const auto ended = tokenclock::receive_stamped(pair.receiver, buffer, sizeof buffer);
  CHECK_EQ(ended.n_bytes, 0);
  CHECK_EQ(ended.error, 0);
  close(pair.receiver);

  const auto closed = tokenclock::receive_stamped(-1, buffer, sizeof buffer);
  CHECK_EQ(closed.n_bytes, -1);
  CHECK_EQ(closed.error, EBADF);
  return 0;
}
