// What really happened, kept by the paced server: when each request arrived, when each send was made.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tokenclock/clock.h"
#include "tokenclock/columns.h"

namespace tokenclock {

// A copy of the truth as columns; instants are absolute CLOCK_MONOTONIC ns. Request k owns the sends
// [send_offsets[k], send_offsets[k + 1]), in the order in which they were made.
struct PacedTruthColumns {
  std::vector<std::int64_t> t_arrival_ns;    // the request's last byte came in
  std::vector<std::uint8_t> arrival_kernel;  // 1: by the kernel's stamp; 0: when user space had read it
  std::vector<std::int64_t> t_read_ns;
  std::vector<std::int64_t> t_done_ns;  // the reply's last byte was handed to the kernel; kMissingNs: never
  // The first send with tokens went to the network device, by the kernel's stamp; kMissingNs: no such send or no stamp.
  std::vector<std::int64_t> t_first_on_wire_ns;
  std::vector<std::int32_t> prompt_tokens;
  std::vector<std::int32_t> max_tokens;
  std::vector<std::int16_t> status;  // HTTP status of the reply; 0: none was sent (yet)
  std::vector<std::uint8_t> fault;   // low four bits FaultKind, then the bits of paced_options.h
  std::vector<std::int64_t> send_offsets;
  std::vector<std::int64_t> t_send_ns;  // clock read just before send() was called
  std::vector<std::int64_t> t_due_ns;   // when it should have been
  std::vector<std::int32_t> n_tokens;   // 0: a send without content (head, role, usage, an error)
  std::vector<std::int32_t> n_events;   // token events in the send
  std::int64_t n_requests_lost = 0;     // served, but there was no room left for their rows
  std::int64_t n_sends_lost = 0;
};

// Written by the server's thread alone; columns() may be called from any other meanwhile.
class PacedTruth {
 public:
  PacedTruth(std::size_t max_requests, std::size_t max_sends) : requests_(max_requests), sends_(max_sends) {}

  static constexpr std::int32_t kNoRow = -1;  // accepted everywhere below, and ignored

  // The row's number is the request's number, whatever was lost; kNoRow when the room is used up.
  std::int32_t add_request(std::int64_t t_arrival_ns, bool by_kernel, std::int64_t t_read_ns) noexcept;
  void set_request(std::int32_t row, std::int32_t prompt_tokens, std::int32_t max_tokens) noexcept;
  void set_status(std::int32_t row, int status) noexcept;
  void set_fault(std::int32_t row, std::uint8_t fault) noexcept;
  void set_done(std::int32_t row, std::int64_t t_done_ns) noexcept;
  void set_first_on_wire(std::int32_t row, std::int64_t t_ns) noexcept;  // kMissingNs takes it back
  // The wall clock was stepped: arrivals of the rows from `first_row` on fall back to when they were read.
  void distrust_arrivals(std::size_t first_row) noexcept;
  void add_send(std::int32_t row, std::int64_t t_send_ns, std::int64_t t_due_ns, std::int32_t n_tokens,
                std::int32_t n_events) noexcept;

  [[nodiscard]] std::size_t n_requests() const noexcept { return n_requests_.load(std::memory_order_acquire); }
  [[nodiscard]] std::size_t n_sends() const noexcept { return n_sends_.load(std::memory_order_acquire); }
  [[nodiscard]] PacedTruthColumns columns() const;

 private:
  // Fields that change after the row was published are atomic; relaxed is enough, each stands for itself.
  struct Request {
    std::int64_t t_read_ns;
    std::atomic<std::int64_t> t_arrival_ns;
    std::atomic<std::int64_t> t_done_ns;
    std::atomic<std::int64_t> t_first_on_wire_ns;
    std::atomic<std::int32_t> prompt_tokens;
    std::atomic<std::int32_t> max_tokens;
    std::atomic<std::int16_t> status;
    std::atomic<std::uint8_t> fault;
    std::atomic<std::uint8_t> by_kernel;
  };
  struct Send {
    std::int64_t t_send_ns;
    std::int64_t t_due_ns;
    std::int32_t row;
    std::int32_t n_tokens;
    std::int32_t n_events;
  };

  ReservedArray<Request> requests_;
  ReservedArray<Send> sends_;
  std::atomic<std::size_t> n_requests_{0};
  std::atomic<std::size_t> n_sends_{0};
  std::atomic<std::int64_t> n_requests_lost_{0};
  std::atomic<std::int64_t> n_sends_lost_{0};
};

}  // namespace tokenclock
