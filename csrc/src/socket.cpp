#include "tokenclock/socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace tokenclock {

Address parse_address(const std::string& ip, std::uint16_t port) {
  Address address;
  if (ip.find('/') != std::string::npos) {
    sockaddr_un path{};
    if (ip.size() >= sizeof path.sun_path)
      throw std::invalid_argument("the path of a Unix socket must be shorter than " +
                                  std::to_string(sizeof path.sun_path) + " bytes, got " + std::to_string(ip.size()));
    path.sun_family = AF_UNIX;
    std::memcpy(path.sun_path, ip.data(), ip.size());
    std::memcpy(&address.storage, &path, sizeof path);
    address.length = sizeof path;
    return address;
  }
  sockaddr_in v4{};
  if (::inet_pton(AF_INET, ip.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&address.storage, &v4, sizeof v4);
    address.length = sizeof v4;
    return address;
  }
  sockaddr_in6 v6{};
  if (::inet_pton(AF_INET6, ip.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&address.storage, &v6, sizeof v6);
    address.length = sizeof v6;
    return address;
  }
  throw std::invalid_argument("expected a numeric IPv4 or IPv6 address, or a path with a slash in it, got '" + ip +
                              "'");
}

Socket& Socket::operator=(Socket&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = other.release();
  }
  return *this;
}

void Socket::close() noexcept {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

int Socket::release() noexcept { return std::exchange(fd_, -1); }

Socket open_socket(const Address& address) noexcept {
  Socket socket(::socket(address.storage.ss_family, SOCK_STREAM, 0));
  if (!socket.is_open()) return socket;
  ::fcntl(socket.fd(), F_SETFD, FD_CLOEXEC);
  ::fcntl(socket.fd(), F_SETFL, ::fcntl(socket.fd(), F_GETFL) | O_NONBLOCK);
  if (address.is_unix()) return socket;
  const int on = 1;
  ::setsockopt(socket.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return socket;
}

void spread_source(const Socket& socket, const Address& address, std::int32_t ordinal) noexcept {
#if defined(__linux__)
  constexpr std::int32_t per_source = 16'384;  // a little over half of the ports that Linux gives to one address
  constexpr std::int32_t n_sources = 64;
  const std::int32_t source = ordinal / per_source % n_sources;
  if (source == 0 || address.storage.ss_family != AF_INET) return;
  const auto* target = reinterpret_cast<const sockaddr_in*>(&address.storage);
  constexpr std::uint32_t loopback = 0x7f000000;
  if ((ntohl(target->sin_addr.s_addr) & 0xff000000) != loopback) return;
  sockaddr_in from{};
  from.sin_family = AF_INET;
  from.sin_addr.s_addr = htonl(loopback + 1 + static_cast<std::uint32_t>(source));
  const int on = 1;  // the port is chosen when the other end is known: one port serves many of those
  if (::setsockopt(socket.fd(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) != 0) return;
  static_cast<void>(::bind(socket.fd(), reinterpret_cast<const sockaddr*>(&from), sizeof from));  // else as without
#else
  static_cast<void>(socket), static_cast<void>(address), static_cast<void>(ordinal);
#endif
}

int begin_connect(const Socket& socket, const Address& address) noexcept {
  const auto* target = reinterpret_cast<const sockaddr*>(&address.storage);
  if (::connect(socket.fd(), target, address.length) == 0 || errno == EINPROGRESS) return 0;
  return errno;
}

int pending_error(const Socket& socket) noexcept {
  int error = 0;
  socklen_t length = sizeof error;
  if (::getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &error, &length) != 0) return errno;
  return error;
}

std::string error_text(int error) { return std::generic_category().message(error); }

}  // namespace tokenclock
