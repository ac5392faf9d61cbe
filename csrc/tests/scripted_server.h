// A loopback server that does what a test says: a function per request that writes to the socket as it likes.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace tokenclock::test {

class ScriptedServer {
 public:
  // Answers request number `n` (of its connection, from 0) on `fd`; false closes the connection.
  using Script = std::function<bool(int fd, int n, const std::string& request)>;

  explicit ScriptedServer(Script script) : script_(std::move(script)), listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), length) != 0 || ::listen(listener_, 128) != 0)
      std::abort();
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] {
      for (;;) {
        const int fd = ::accept(listener_, nullptr, nullptr);
        if (fd < 0) return;
        const int on = 1;
        ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        ++n_connections_;
        clients_.emplace_back([this, fd] { serve(fd); });
      }
    });
  }
  ~ScriptedServer() {
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    for (std::thread& client : clients_) client.join();
    ::close(listener_);
  }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] int n_connections() const { return n_connections_.load(); }

  static bool write(int fd, const std::string& bytes) {
    return ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
  }

 private:
  void serve(int fd) {
    std::string input;
    for (int n = 0;; ++n) {
      std::size_t end = 0;
      for (;;) {
        const auto head = input.find("\r\n\r\n");
        if (head != std::string::npos) {
          const auto at = input.find("Content-Length: ");
          end = head + 4 + static_cast<std::size_t>(std::atoi(input.c_str() + at + 16));
          if (input.size() >= end) break;
        }
        char buffer[4096];
        const ssize_t got = ::recv(fd, buffer, sizeof buffer, 0);
        if (got <= 0) {
          ::close(fd);
          return;
        }
        input.append(buffer, static_cast<std::size_t>(got));
      }
      const bool more = script_(fd, n, input.substr(0, end));
      input.erase(0, end);
      if (!more) {
        ::close(fd);
        return;
      }
    }
  }

  Script script_;
  int listener_;
  std::uint16_t port_ = 0;
  std::atomic<int> n_connections_{0};
  std::thread acceptor_;
  std::vector<std::thread> clients_;
};

}  // namespace tokenclock::test
