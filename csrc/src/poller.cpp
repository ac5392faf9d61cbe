#include "tokenclock/poller.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace tokenclock {

namespace {

[[noreturn]] void throw_errno(const char* call) { throw std::system_error(errno, std::generic_category(), call); }

std::uint32_t interest(bool read, bool write) noexcept {
  return (read ? EPOLLIN | EPOLLRDHUP : 0U) | (write ? EPOLLOUT : 0U);
}

}  // namespace

Poller::Poller(std::size_t max_ready)
    : epoll_fd_(::epoll_create1(EPOLL_CLOEXEC)),
      wake_fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      raw_(max_ready * sizeof(epoll_event)) {
  if (epoll_fd_ < 0) throw_errno("epoll_create1");
  if (wake_fd_ < 0) throw_errno("eventfd");
  ready_.reserve(max_ready);
  add(wake_fd_, nullptr, true, false);
}

Poller::~Poller() {
  ::close(wake_fd_);
  ::close(epoll_fd_);
}

void Poller::add(int fd, void* owner, bool read, bool write) {
  epoll_event event{};
  event.events = interest(read, write);
  event.data.ptr = owner;
  if (::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) != 0) throw_errno("epoll_ctl(ADD)");
}

void Poller::change(int fd, void* owner, bool read, bool write) {
  epoll_event event{};
  event.events = interest(read, write);
  event.data.ptr = owner;
  if (::epoll_ctl(epoll_fd_, EPOLL_CTL_MOD, fd, &event) != 0) throw_errno("epoll_ctl(MOD)");
}

void Poller::remove(int fd) noexcept { ::epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, nullptr); }

std::span<const Poller::Ready> Poller::wait(std::int64_t timeout_ns, std::size_t max_ready) {
  auto* events = reinterpret_cast<epoll_event*>(raw_.data());
  const std::size_t room = raw_.size() / sizeof(epoll_event);
  const int limit = static_cast<int>(max_ready == 0 || max_ready > room ? room : max_ready);
  int n = -1;
#ifdef SYS_epoll_pwait2
  if (has_nanosecond_wait_) {
    const timespec timeout{timeout_ns / 1'000'000'000, timeout_ns % 1'000'000'000};
    n = static_cast<int>(
        ::syscall(SYS_epoll_pwait2, epoll_fd_, events, limit, timeout_ns < 0 ? nullptr : &timeout, nullptr, 0UL));
    if (n < 0 && errno == ENOSYS) has_nanosecond_wait_ = false;
  }
#else
  has_nanosecond_wait_ = false;
#endif
  if (!has_nanosecond_wait_) {
    // whole milliseconds, rounded down: the caller spins the rest away rather than being late
    n = ::epoll_wait(epoll_fd_, events, limit, timeout_ns < 0 ? -1 : static_cast<int>(timeout_ns / 1'000'000));
  }
  ready_.clear();
  if (n < 0) {
    if (errno == EINTR) return {};
    throw_errno("epoll_wait");
  }
  for (int i = 0; i < n; ++i) {
    const epoll_event& event = events[i];
    if (event.data.ptr == nullptr) {
      std::uint64_t count = 0;
      while (::read(wake_fd_, &count, sizeof count) > 0) {
      }
    }
    ready_.push_back({event.data.ptr, (event.events & EPOLLIN) != 0, (event.events & EPOLLOUT) != 0,
                      (event.events & (EPOLLERR | EPOLLHUP)) != 0, (event.events & EPOLLRDHUP) != 0});
  }
  return ready_;
}

void Poller::wake() noexcept {
  const std::uint64_t one = 1;
  const auto written = ::write(wake_fd_, &one, sizeof one);
  static_cast<void>(written);  // a full counter means that a wake-up is pending already
}

}  // namespace tokenclock
