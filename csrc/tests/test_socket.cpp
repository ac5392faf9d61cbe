#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

#include <stdexcept>

#include "check.h"
#include "tokenclock/socket.h"

using namespace tokenclock;

namespace {

std::string source_of(const Socket& socket) {
  sockaddr_in own{};
  socklen_t size = sizeof own;
  CHECK_EQ(::getsockname(socket.fd(), reinterpret_cast<sockaddr*>(&own), &size), 0);
  char text[INET_ADDRSTRLEN];
  return ::inet_ntop(AF_INET, &own.sin_addr, text, sizeof text);
}

class Listener {
 public:
  Listener() : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    CHECK_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&address), size), 0);
    CHECK_EQ(::listen(fd_, 8), 0);
    CHECK_EQ(::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
  }
  ~Listener() { ::close(fd_); }
  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  int fd_;
  std::uint16_t port_ = 0;
};

void many_connections_get_more_source_addresses() {
  const Listener listener;
  const Address address = parse_address("127.0.0.1", listener.port());
  const auto source = [&](std::int32_t ordinal) {
    const Socket socket = open_socket(address);
    spread_source(socket, address, ordinal);
    CHECK_EQ(begin_connect(socket, address), 0);
    pollfd writable{socket.fd(), POLLOUT, 0};
    CHECK_EQ(::poll(&writable, 1, 5000), 1);
    CHECK_EQ(pending_error(socket), 0);
    return source_of(socket);
  };
  CHECK_EQ(source(0), "127.0.0.1");
  CHECK_EQ(source(16'383), "127.0.0.1");
#if defined(__linux__)
  CHECK_EQ(source(16'384), "127.0.0.2");
  CHECK_EQ(source(2 * 16'384 + 5), "127.0.0.3");
  CHECK_EQ(source(64 * 16'384), "127.0.0.1");
#endif
}

void other_addresses_are_left_alone() {
  const Address elsewhere = parse_address("192.0.2.1", 80);
  const Socket socket = open_socket(elsewhere);
  spread_source(socket, elsewhere, 20'000);
  CHECK_EQ(source_of(socket), "0.0.0.0");
}

}  // namespace

int main() {
  many_connections_get_more_source_addresses();
  other_addresses_are_left_alone();
}
