// Stamps of sends over a real loopback connection: they lie between the call and the peer's receive stamp, are asked
// for one send at a time, and make the poller call the socket failed until they are taken.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>

#include "check.h"
#include "tokenclock/poller.h"
#include "tokenclock/receive_stamp.h"
#include "tokenclock/send_stamp.h"

namespace {

using namespace tokenclock;

struct Pair {
  int sender = -1;
  int receiver = -1;

  Pair() {
    const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* any = reinterpret_cast<sockaddr*>(&address);
    CHECK(::bind(listener, any, size) == 0 && ::listen(listener, 1) == 0 && ::getsockname(listener, any, &size) == 0);
    sender = ::socket(AF_INET, SOCK_STREAM, 0);
    CHECK_EQ(::connect(sender, any, size), 0);
    receiver = ::accept(listener, nullptr, nullptr);
    CHECK(receiver >= 0);
    const int on = 1;
    ::setsockopt(sender, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::close(listener);
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;
  ~Pair() {
    ::close(sender);
    ::close(receiver);
  }
};

std::int64_t realtime_ns() { return system_clock_source().realtime_ns(); }

bool called_failed(Poller& poller) {
  for (const Poller::Ready& ready : poller.wait(0)) {
    if (ready.failed) return true;
  }
  return false;
}

void check_stamps() {
  Pair pair;
  CHECK(enable_send_stamps(pair.sender));
  CHECK(enable_receive_stamps(pair.receiver));
  Poller poller;
  poller.add(pair.sender, &pair, true, false);
  std::array<char, 64> buffer{};
  for (int i = 0; i < 20; ++i) {
    const std::int64_t t_before_ns = realtime_ns();
    CHECK_EQ(send_stamped(pair.sender, "token"), 5);
    const bool told = called_failed(poller);
    const std::int64_t t_sent_ns = take_send_stamp(pair.sender);
    CHECK(t_sent_ns >= t_before_ns && t_sent_ns <= realtime_ns());
    CHECK(told);
    CHECK(!called_failed(poller));
    CHECK_EQ(take_send_stamp(pair.sender), kMissingNs);
    const Received received = receive_stamped(pair.receiver, buffer.data(), buffer.size());
    CHECK_EQ(received.n_bytes, 5);
    if (received.t_realtime_ns != kMissingNs) CHECK(received.t_realtime_ns >= t_sent_ns);
    // a send that does not ask has none
    CHECK_EQ(::send(pair.sender, "plain", 5, MSG_NOSIGNAL), 5);
    CHECK_EQ(take_send_stamp(pair.sender), kMissingNs);
    CHECK_EQ(receive_stamped(pair.receiver, buffer.data(), buffer.size()).n_bytes, 5);
  }
}

void check_several_at_once() {
  Pair pair;
  CHECK(enable_send_stamps(pair.sender));
  send_stamped(pair.sender, "one");
  const std::int64_t t_between_ns = realtime_ns();
  send_stamped(pair.sender, "two");
  CHECK(take_send_stamp(pair.sender) >= t_between_ns);  // the latest
  CHECK_EQ(take_send_stamp(pair.sender), kMissingNs);
}

void check_refusals() {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  CHECK_EQ(send_stamped(fd, "x"), -1);  // not connected
  CHECK_EQ(take_send_stamp(fd), kMissingNs);
  ::close(fd);
  CHECK(!enable_send_stamps(fd));
  CHECK_EQ(take_send_stamp(fd), kMissingNs);
}

// A full socket takes a part, and a stamp of that part comes or none.
void check_full_socket() {
  Pair pair;
  CHECK(enable_send_stamps(pair.sender));
  const std::string much(1 << 20, 'x');
  ssize_t n = 0;
  for (int i = 0; i < 100 && n >= 0; ++i) n = send_stamped(pair.sender, much);
  CHECK_EQ(n, -1);
}

}  // namespace

int main() {
  if (!wake_kernel_stamping()) return 77;  // no stamps in this sandbox
  check_stamps();
  check_several_at_once();
  check_refusals();
  check_full_socket();
  return 0;
}
