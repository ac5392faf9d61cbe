// Columns in reserved address space: contiguous, never moving, and paid for only where they were written.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "tokenclock/clock.h"

namespace tokenclock {

namespace detail {
// Maps zeroed, unreserved memory; throws std::bad_alloc when the address space itself is refused.
[[nodiscard]] void* map_reserved(std::size_t n_bytes);
void unmap_reserved(void* address, std::size_t n_bytes) noexcept;
}  // namespace detail

// `capacity` elements of T, zero until written. Reading a never-written page costs no memory either.
template <typename T>
class ReservedArray {
 public:
  ReservedArray() = default;
  explicit ReservedArray(std::size_t capacity)
      : data_(capacity == 0 ? nullptr : static_cast<T*>(detail::map_reserved(capacity * sizeof(T)))),
        capacity_(capacity) {}
  ReservedArray(std::size_t capacity, T fill) : ReservedArray(capacity) {
    for (std::size_t i = 0; i < capacity; ++i) data_[i] = fill;
  }
  ReservedArray(ReservedArray&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), capacity_(std::exchange(other.capacity_, 0)) {}
  ReservedArray& operator=(ReservedArray&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(capacity_, other.capacity_);
    return *this;
  }
  ReservedArray(const ReservedArray&) = delete;
  ReservedArray& operator=(const ReservedArray&) = delete;
  ~ReservedArray() {
    if (data_ != nullptr) detail::unmap_reserved(data_, capacity_ * sizeof(T));
  }

  [[nodiscard]] T& operator[](std::size_t i) noexcept { return data_[i]; }
  [[nodiscard]] const T& operator[](std::size_t i) const noexcept { return data_[i]; }
  [[nodiscard]] T* data() noexcept { return data_; }
  [[nodiscard]] const T* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

 private:
  T* data_ = nullptr;
  std::size_t capacity_ = 0;
};

// How one scheduled request ended. The numbers are the `status` column and never change their meaning.
enum class RequestStatus : std::uint8_t {
  ok = 0,
  http_error = 1,
  connect_error = 2,
  timeout = 3,
  stalled = 4,
  cancelled = 5,
  truncated = 6,
  stream_error = 7,
  protocol_error = 8,
  not_sent = 9,
};

// One row per scheduled request; instants are ns after the run's start, kMissingNs where absent, counts -1.
// Each row has one writer: the worker that sent it.
struct RequestColumns {
  explicit RequestColumns(std::size_t n_rows);

  std::size_t n_rows;
  ReservedArray<std::uint8_t> status;
  ReservedArray<std::int64_t> t_scheduled_ns;
  ReservedArray<std::int64_t> t_connect_ns;  // start of connect; missing on a reused connection
  ReservedArray<std::int64_t> t_tls_ns;      // start of the TLS handshake; missing without one
  ReservedArray<std::int64_t> t_sent_ns;
  ReservedArray<std::int64_t> t_first_byte_ns;
  ReservedArray<std::int64_t> t_first_token_ns;
  ReservedArray<std::int64_t> t_last_token_ns;
  ReservedArray<std::int64_t> t_done_ns;
  ReservedArray<std::int16_t> http_status;
  ReservedArray<std::int64_t> bytes_received;
  ReservedArray<std::int32_t> connection_id;
  ReservedArray<std::int16_t> worker;
  ReservedArray<std::int32_t> isl_server;     // usage.prompt_tokens
  ReservedArray<std::int32_t> osl_server;     // usage.completion_tokens
  ReservedArray<std::int32_t> osl_events;     // sum of n_tokens over the row's token events
  ReservedArray<std::int32_t> cached_tokens;  // usage.prompt_tokens_details.cached_tokens
  ReservedArray<std::uint8_t> finish_reason;
  ReservedArray<std::uint8_t> resent;
  ReservedArray<double> tokens_per_iteration;
};

// One token event in arrival order; 24 bytes.
struct TokenEvent {
  std::int64_t t_token_ns;
  std::int64_t t_read_ns;
  std::int32_t row;
  std::int32_t n_tokens;
};
static_assert(sizeof(TokenEvent) == 24);

// Append-only log of one worker. Events before published() are final and may be read from any thread.
class TokenEventLog {
 public:
  explicit TokenEventLog(std::size_t capacity) : events_(capacity) {}

  // False when the reserved space is used up: the event is counted as lost.
  bool append(const TokenEvent& event) noexcept {
    if (size_ == events_.capacity()) {
      ++n_lost_;
      return false;
    }
    events_[size_++] = event;
    return true;
  }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }  // owner thread only
  [[nodiscard]] std::size_t n_lost() const noexcept { return n_lost_; }
  [[nodiscard]] TokenEvent& operator[](std::size_t i) noexcept { return events_[i]; }
  [[nodiscard]] const TokenEvent* data() const noexcept { return events_.data(); }

  void publish() noexcept { published_.store(size_, std::memory_order_release); }
  [[nodiscard]] std::size_t published() const noexcept { return published_.load(std::memory_order_acquire); }

 private:
  ReservedArray<TokenEvent> events_;
  std::size_t size_ = 0;
  std::size_t n_lost_ = 0;
  std::atomic<std::size_t> published_{0};
};

// The token columns, grouped by row: row i owns [offsets[i], offsets[i + 1]).
struct RaggedTokens {
  std::vector<std::int64_t> offsets;
  ReservedArray<std::int64_t> t_token_ns;
  ReservedArray<std::int32_t> n_tokens;
  ReservedArray<std::int64_t> t_read_ns;
  std::size_t n_events = 0;
};

// Counting sort of the workers' logs by row; arrival order is kept within a row. O(events + rows).
[[nodiscard]] RaggedTokens to_ragged(const std::vector<const TokenEventLog*>& logs, std::size_t n_rows);

}  // namespace tokenclock
