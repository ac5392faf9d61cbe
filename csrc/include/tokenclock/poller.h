// Readiness of many sockets behind a small interface: epoll, with a time-out in nanoseconds and a wake-up from other
// threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace tokenclock {

class Poller {
 public:
  struct Ready {
    void* owner;  // as given to add(); nullptr for a wake-up
    bool readable;
    bool writable;
    bool failed;       // error or hang-up
    bool peer_closed;  // the peer will send no more; there may be bytes to read before that
  };

  // Throws std::system_error when the kernel gives no epoll or event descriptor.
  explicit Poller(std::size_t max_ready = 256);
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  // All throw std::system_error.
  void add(int fd, void* owner, bool read, bool write);
  void change(int fd, void* owner, bool read, bool write);
  void remove(int fd) noexcept;

  // Waits until something is ready or timeout_ns went by (0: only looks; negative: no time-out); at most max_ready
  // entries (0: as many as the poller holds). The span lives until the next call.
  std::span<const Ready> wait(std::int64_t timeout_ns, std::size_t max_ready = 0);
  // From any thread: makes the current or next wait() return.
  void wake() noexcept;

 private:
  int epoll_fd_;
  int wake_fd_;
  bool has_nanosecond_wait_ = true;
  std::vector<unsigned char> raw_;  // epoll_event[max_ready]
  std::vector<Ready> ready_;
};

}  // namespace tokenclock
