// Prepared requests on their way from Python to the workers.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace tokenclock {

// Bodies of many requests in one arena; freed when the last of them is done. Keeps a count of what lies unfreed.
struct RequestBatch {
  RequestBatch(std::string bytes, std::string lines, std::atomic<std::int64_t>& total)
      : arena(std::move(bytes)), head_lines(std::move(lines)), total_bytes(&total) {
    total_bytes->fetch_add(static_cast<std::int64_t>(arena.size()), std::memory_order_relaxed);
  }
  ~RequestBatch() { total_bytes->fetch_sub(static_cast<std::int64_t>(arena.size()), std::memory_order_relaxed); }
  RequestBatch(const RequestBatch&) = delete;
  RequestBatch& operator=(const RequestBatch&) = delete;

  std::string arena;
  std::string head_lines;  // header lines of single requests; mostly empty
  std::atomic<std::int64_t>* total_bytes;
};

struct PreparedRequest {
  std::shared_ptr<const RequestBatch> batch;
  std::string_view body;        // inside the batch's arena
  std::string_view head_lines;  // of this request alone, CRLF after each, behind the common head; mostly empty
  std::int64_t t_due_ns = 0;
  std::int32_t row = -1;
};

// In due order. One queue is shared by the workers of a closed loop; an open loop has one per worker.
class RequestQueue {
 public:
  void push(PreparedRequest request) {
    const std::scoped_lock lock(mutex_);
    requests_.push_back(std::move(request));
  }
  // The front request when it is due at t_now_ns.
  bool try_pop(std::int64_t t_now_ns, PreparedRequest& request) {
    const std::scoped_lock lock(mutex_);
    if (requests_.empty() || requests_.front().t_due_ns > t_now_ns) return false;
    request = std::move(requests_.front());
    requests_.pop_front();
    return true;
  }
  // When the front request is due; `none` when there is none.
  [[nodiscard]] std::int64_t next_due_ns(std::int64_t none) const {
    const std::scoped_lock lock(mutex_);
    return requests_.empty() ? none : requests_.front().t_due_ns;
  }
  void close() {
    const std::scoped_lock lock(mutex_);
    closed_ = true;
  }
  [[nodiscard]] bool exhausted() const {
    const std::scoped_lock lock(mutex_);
    return closed_ && requests_.empty();
  }

 private:
  mutable std::mutex mutex_;
  std::deque<PreparedRequest> requests_;
  bool closed_ = false;
};

}  // namespace tokenclock
