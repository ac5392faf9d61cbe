// When each token of each request came: the call that a runtime's streaming loop makes per token.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "tokenclock/clock.h"
#include "tokenclock/columns.h"
#include "tokenclock/stamp_clock.h"

namespace tokenclock {

// One request's stamps. One thread writes a row; any thread may read what it has published so far. Lives as long as its
// recorder and never moves. On a cache line of its own, so that writers of neighbouring rows do not slow each other.
class alignas(64) TokenRow {
 public:
  // An event of one token, now. False: not recorded, because the row is full or finished; n_lost() counts it.
  bool stamp() noexcept { return stamp_n(1); }

  // An event that brought n_tokens (1 or more) at once.
  bool stamp_n(std::int32_t n_tokens) noexcept {
    const std::int64_t t_ns = std::max(clock_->now_ns(), t_last_ns_);
    const std::int64_t i = n_events_.load(std::memory_order_relaxed);
    if (i >= limit_) [[unlikely]] {
      n_lost_.fetch_add(1, std::memory_order_relaxed);
      return false;
    }
    t_last_ns_ = t_ns;
    t_token_ns_[i] = t_ns;
    n_tokens_[i] = n_tokens;
    n_events_.store(i + 1, std::memory_order_release);  // publishes both values to readers
    return true;
  }

  // The request is over, now: nothing can be stamped any more. False: it was finished before, and keeps that instant.
  bool finish() noexcept {
    const std::int64_t t_ns = std::max(clock_->now_ns(), t_last_ns_);
    if (is_finished()) return false;
    limit_ = 0;
    t_done_ns_.store(t_ns, std::memory_order_release);
    return true;
  }

  [[nodiscard]] bool is_finished() const noexcept { return t_done_ns() != kMissingNs; }
  [[nodiscard]] std::int64_t n_events() const noexcept { return n_events_.load(std::memory_order_acquire); }
  [[nodiscard]] std::int64_t n_lost() const noexcept { return n_lost_.load(std::memory_order_relaxed); }
  // kMissingNs until finished.
  [[nodiscard]] std::int64_t t_done_ns() const noexcept { return t_done_ns_.load(std::memory_order_acquire); }

  // Both columns of the events published so far; the memory stays valid, and its content fixed, while the recorder
  // lives.
  [[nodiscard]] std::span<const std::int64_t> t_token_ns() const noexcept { return {t_token_ns_, size()}; }
  [[nodiscard]] std::span<const std::int32_t> n_tokens() const noexcept { return {n_tokens_, size()}; }

 private:
  friend class TokenRecorder;
  [[nodiscard]] std::size_t size() const noexcept { return static_cast<std::size_t>(n_events()); }

  StampClock* clock_ = nullptr;
  std::int64_t* t_token_ns_ = nullptr;
  std::int32_t* n_tokens_ = nullptr;
  std::int64_t limit_ = 0;               // the writer's own: capacity, and 0 once finished
  std::int64_t t_last_ns_ = kMissingNs;  // the writer's own: stamps of a row never run backwards
  std::atomic<std::int64_t> n_events_{0};
  std::atomic<std::int64_t> n_lost_{0};
  std::atomic<std::int64_t> t_done_ns_{kMissingNs};
};

static_assert(sizeof(TokenRow) == 64, "one cache line");

// Rows one after another: event k of row i is at index token_offsets[i] + k. All instants are of the clock of now_ns().
struct TokenColumns {
  std::vector<std::int64_t> token_offsets;  // n_rows + 1
  std::vector<std::int64_t> t_token_ns;
  std::vector<std::int32_t> n_tokens;
  std::vector<std::int64_t> t_done_ns;  // n_rows; kMissingNs where not finished
};

// Room for n_rows x max_tokens_per_row events (12 bytes each), reserved at once and paid for page by page as it fills:
// a generous max_tokens_per_row costs nothing. Up to that number nothing is lost; past it the row counts what it
// refuses.
class TokenRecorder {
 public:
  static constexpr std::int64_t kDefaultMaxTokensPerRow = 131'072;

  // Throws std::invalid_argument (a size below 1, or more than 64 TiB in all), std::bad_alloc where the system
  // refuses the address space.
  explicit TokenRecorder(std::int64_t n_rows, std::int64_t max_tokens_per_row = kDefaultMaxTokensPerRow);

  // Also fetches the first page of the row's memory, so that the first stamp pays for no page fault.
  // Throws std::out_of_range.
  [[nodiscard]] TokenRow& row(std::int64_t i);

  [[nodiscard]] std::int64_t n_rows() const noexcept { return n_rows_; }
  [[nodiscard]] std::int64_t max_tokens_per_row() const noexcept { return max_tokens_per_row_; }
  [[nodiscard]] std::int64_t n_events() const noexcept;
  [[nodiscard]] std::int64_t n_lost() const noexcept;

  // A copy of everything published so far, one consistent whole even beside writers.
  [[nodiscard]] TokenColumns columns() const;

 private:
  std::int64_t n_rows_;
  std::int64_t max_tokens_per_row_;
  ReservedArray<std::int64_t> t_token_ns_;
  ReservedArray<std::int32_t> n_tokens_;
  std::unique_ptr<TokenRow[]> rows_;
};

}  // namespace tokenclock
