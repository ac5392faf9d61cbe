#include "tokenclock/token_recorder.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace tokenclock {
namespace {

constexpr std::int64_t kEventBytes = sizeof(std::int64_t) + sizeof(std::int32_t);
constexpr std::int64_t kMaxEvents =
    (std::int64_t{1} << 46) / kEventBytes;  // 64 TiB: half of what a process can address
constexpr std::size_t kFetchEvents = 512;   // one page of times

std::size_t checked_n_events(std::int64_t n_rows, std::int64_t max_tokens_per_row) {
  if (n_rows < 1) throw std::invalid_argument("n_rows: expected 1 or more, got " + std::to_string(n_rows));
  if (max_tokens_per_row < 1) {
    throw std::invalid_argument("max_tokens_per_row: expected 1 or more, got " + std::to_string(max_tokens_per_row));
  }
  if (n_rows > kMaxEvents / max_tokens_per_row) {
    throw std::invalid_argument("n_rows x max_tokens_per_row: expected at most " + std::to_string(kMaxEvents) +
                                " events, got " + std::to_string(n_rows) + " x " + std::to_string(max_tokens_per_row) +
                                "; ask for fewer");
  }
  return static_cast<std::size_t>(n_rows) * static_cast<std::size_t>(max_tokens_per_row);
}

// With transparent huge pages on, the first stamp of each row would cost 2 MiB. Advice: where refused, only memory is
// lost.
void avoid_huge_pages([[maybe_unused]] void* data, [[maybe_unused]] std::size_t n_bytes) noexcept {
#if defined(MADV_NOHUGEPAGE)
  ::madvise(data, n_bytes, MADV_NOHUGEPAGE);
#endif
}

// Fetches the pages under [data, data + n_bytes), so that the first write takes no page fault. Changes no content and
// is safe beside writers. Kernels before 5.14 refuse: then the first write takes the fault.
void fetch_pages([[maybe_unused]] void* data, [[maybe_unused]] std::size_t n_bytes) noexcept {
#if defined(__linux__)
#if !defined(MADV_POPULATE_WRITE)
  constexpr int MADV_POPULATE_WRITE = 23;  // C libraries older than the kernel lack the name
#endif
  static const auto page_bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t into_page = reinterpret_cast<std::uintptr_t>(data) % page_bytes;
  ::madvise(static_cast<std::byte*>(data) - into_page, n_bytes + into_page, MADV_POPULATE_WRITE);
#endif
}

}  // namespace

TokenRecorder::TokenRecorder(std::int64_t n_rows, std::int64_t max_tokens_per_row)
    : n_rows_(n_rows),
      max_tokens_per_row_(max_tokens_per_row),
      t_token_ns_(checked_n_events(n_rows, max_tokens_per_row)),
      n_tokens_(t_token_ns_.capacity()),
      rows_(std::make_unique<TokenRow[]>(static_cast<std::size_t>(n_rows))) {
  avoid_huge_pages(t_token_ns_.data(), t_token_ns_.capacity() * sizeof(std::int64_t));
  avoid_huge_pages(n_tokens_.data(), n_tokens_.capacity() * sizeof(std::int32_t));
  for (std::int64_t i = 0; i < n_rows; ++i) {
    TokenRow& row = rows_[static_cast<std::size_t>(i)];
    row.clock_ = &StampClock::instance();
    row.t_token_ns_ = t_token_ns_.data() + i * max_tokens_per_row;
    row.n_tokens_ = n_tokens_.data() + i * max_tokens_per_row;
    row.limit_ = max_tokens_per_row;
  }
}

TokenRow& TokenRecorder::row(std::int64_t i) {
  if (i < 0 || i >= n_rows_) {
    throw std::out_of_range("row: expected 0 to " + std::to_string(n_rows_ - 1) + ", got " + std::to_string(i));
  }
  TokenRow& row = rows_[static_cast<std::size_t>(i)];
  const std::size_t n_events = std::min(kFetchEvents, static_cast<std::size_t>(max_tokens_per_row_));
  fetch_pages(row.t_token_ns_, n_events * sizeof(std::int64_t));
  fetch_pages(row.n_tokens_, n_events * sizeof(std::int32_t));
  return row;
}

std::int64_t TokenRecorder::n_events() const noexcept {
  std::int64_t sum = 0;
  for (std::int64_t i = 0; i < n_rows_; ++i) sum += rows_[static_cast<std::size_t>(i)].n_events();
  return sum;
}

std::int64_t TokenRecorder::n_lost() const noexcept {
  std::int64_t sum = 0;
  for (std::int64_t i = 0; i < n_rows_; ++i) sum += rows_[static_cast<std::size_t>(i)].n_lost();
  return sum;
}

TokenColumns TokenRecorder::columns() const {
  const auto n_rows = static_cast<std::size_t>(n_rows_);
  TokenColumns columns;
  columns.token_offsets.reserve(n_rows + 1);
  columns.token_offsets.push_back(0);
  columns.t_done_ns.reserve(n_rows);
  for (std::size_t i = 0; i < n_rows; ++i) {
    // t_done first: a row that is seen finished is then seen with all of its events.
    columns.t_done_ns.push_back(rows_[i].t_done_ns());
    columns.token_offsets.push_back(columns.token_offsets.back() + rows_[i].n_events());
  }
  const auto n_events = static_cast<std::size_t>(columns.token_offsets.back());
  columns.t_token_ns.reserve(n_events);
  columns.n_tokens.reserve(n_events);
  for (std::size_t i = 0; i < n_rows; ++i) {
    // As many as were counted above: the writer may have gone on since.
    const auto n = static_cast<std::size_t>(columns.token_offsets[i + 1] - columns.token_offsets[i]);
    const auto t_token_ns = rows_[i].t_token_ns().first(n);
    const auto n_tokens = rows_[i].n_tokens().first(n);
    columns.t_token_ns.insert(columns.t_token_ns.end(), t_token_ns.begin(), t_token_ns.end());
    columns.n_tokens.insert(columns.n_tokens.end(), n_tokens.begin(), n_tokens.end());
  }
  return columns;
}

}  // namespace tokenclock
