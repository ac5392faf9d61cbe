// Sockets as the load client needs them: numeric addresses or paths, non-blocking connect, what went wrong in words.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>

namespace tokenclock {

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;

  [[nodiscard]] bool is_unix() const noexcept { return storage.ss_family == AF_UNIX; }
};

// A numeric IPv4 or IPv6 address and a port; or the path of a Unix socket, which holds a slash (no port then).
// Throws std::invalid_argument.
[[nodiscard]] Address parse_address(const std::string& ip, std::uint16_t port);

// Owns a descriptor.
class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) noexcept : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(other.release()) {}
  Socket& operator=(Socket&& other) noexcept;
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket() { close(); }

  [[nodiscard]] int fd() const noexcept { return fd_; }
  [[nodiscard]] bool is_open() const noexcept { return fd_ >= 0; }
  void close() noexcept;
  int release() noexcept;

 private:
  int fd_ = -1;
};

// A non-blocking stream socket, with Nagle off where it is TCP. Not open when the system gave none (errno says why).
[[nodiscard]] Socket open_socket(const Address& address) noexcept;
// Before begin_connect(): of many connections to a server on this machine's loopback, those past the first 16 384 get
// source addresses of their own in 127/8, so that ports do not run out. Does nothing where it does not apply.
void spread_source(const Socket& socket, const Address& address, std::int32_t ordinal) noexcept;
// 0: connected or on the way (wait until writable, then ask pending_error); else the error number. EAGAIN: the queue of
// a Unix socket is full, try again.
[[nodiscard]] int begin_connect(const Socket& socket, const Address& address) noexcept;
[[nodiscard]] int pending_error(const Socket& socket) noexcept;
// The error's text, safe from any thread.
[[nodiscard]] std::string error_text(int error);

}  // namespace tokenclock
