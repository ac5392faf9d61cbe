#include "tokenclock/columns.h"

#include <sys/mman.h>

#include <cmath>
#include <limits>
#include <new>

namespace tokenclock {

namespace detail {

void* map_reserved(std::size_t n_bytes) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS;
#ifdef MAP_NORESERVE
  flags |= MAP_NORESERVE;
#endif
  void* address = ::mmap(nullptr, n_bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (address == MAP_FAILED) throw std::bad_alloc();
  return address;
}

void unmap_reserved(void* address, std::size_t n_bytes) noexcept { ::munmap(address, n_bytes); }

}  // namespace detail

RequestColumns::RequestColumns(std::size_t rows)
    : n_rows(rows),
      status(rows, static_cast<std::uint8_t>(RequestStatus::not_sent)),
      t_scheduled_ns(rows, kMissingNs),
      t_connect_ns(rows, kMissingNs),
      t_tls_ns(rows, kMissingNs),
      t_sent_ns(rows, kMissingNs),
      t_first_byte_ns(rows, kMissingNs),
      t_first_token_ns(rows, kMissingNs),
      t_last_token_ns(rows, kMissingNs),
      t_done_ns(rows, kMissingNs),
      http_status(rows),
      bytes_received(rows),
      connection_id(rows, -1),
      worker(rows, std::int16_t{-1}),
      isl_server(rows, -1),
      osl_server(rows, -1),
      osl_events(rows),
      cached_tokens(rows, -1),
      finish_reason(rows),
      resent(rows),
      tokens_per_iteration(rows, std::numeric_limits<double>::quiet_NaN()) {}

RaggedTokens to_ragged(const std::vector<const TokenEventLog*>& logs, std::size_t n_rows) {
  RaggedTokens ragged;
  ragged.offsets.assign(n_rows + 1, 0);
  for (const TokenEventLog* log : logs) {
    for (std::size_t i = 0; i < log->size(); ++i) ++ragged.offsets[static_cast<std::size_t>(log->data()[i].row) + 1];
    ragged.n_events += log->size();
  }
  for (std::size_t row = 0; row < n_rows; ++row) ragged.offsets[row + 1] += ragged.offsets[row];
  ragged.t_token_ns = ReservedArray<std::int64_t>(ragged.n_events);
  ragged.n_tokens = ReservedArray<std::int32_t>(ragged.n_events);
  ragged.t_read_ns = ReservedArray<std::int64_t>(ragged.n_events);
  std::vector<std::int64_t> next(ragged.offsets.begin(), ragged.offsets.end() - 1);
  for (const TokenEventLog* log : logs) {
    for (std::size_t i = 0; i < log->size(); ++i) {
      const TokenEvent& event = log->data()[i];
      const auto to = static_cast<std::size_t>(next[static_cast<std::size_t>(event.row)]++);
      ragged.t_token_ns[to] = event.t_token_ns;
      ragged.n_tokens[to] = event.n_tokens;
      ragged.t_read_ns[to] = event.t_read_ns;
    }
  }
  return ragged;
}

}  // namespace tokenclock
