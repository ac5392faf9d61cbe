#include "tokenclock/paced_truth.h"

namespace tokenclock {

namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

void count(std::atomic<std::int64_t>& counter) noexcept { counter.store(counter.load(kRelaxed) + 1, kRelaxed); }

}  // namespace

std::int32_t PacedTruth::add_request(std::int64_t t_arrival_ns, bool by_kernel, std::int64_t t_read_ns) noexcept {
  const std::size_t row = n_requests_.load(kRelaxed);
  if (row == requests_.capacity()) {
    count(n_requests_lost_);
    return kNoRow;
  }
  Request& request = requests_[row];
  request.t_read_ns = t_read_ns;
  request.t_arrival_ns.store(t_arrival_ns, kRelaxed);
  request.t_done_ns.store(kMissingNs, kRelaxed);
  request.t_first_on_wire_ns.store(kMissingNs, kRelaxed);
  request.prompt_tokens.store(-1, kRelaxed);
  request.max_tokens.store(-1, kRelaxed);
  request.by_kernel.store(by_kernel ? 1 : 0, kRelaxed);
  n_requests_.store(row + 1, std::memory_order_release);
  return static_cast<std::int32_t>(row);
}

void PacedTruth::set_request(std::int32_t row, std::int32_t prompt_tokens, std::int32_t max_tokens) noexcept {
  if (row == kNoRow) return;
  Request& request = requests_[static_cast<std::size_t>(row)];
  request.prompt_tokens.store(prompt_tokens, kRelaxed);
  request.max_tokens.store(max_tokens, kRelaxed);
}

void PacedTruth::set_status(std::int32_t row, int status) noexcept {
  if (row == kNoRow) return;
  requests_[static_cast<std::size_t>(row)].status.store(static_cast<std::int16_t>(status), kRelaxed);
}

void PacedTruth::set_fault(std::int32_t row, std::uint8_t fault) noexcept {
  if (row == kNoRow) return;
  requests_[static_cast<std::size_t>(row)].fault.store(fault, kRelaxed);
}

void PacedTruth::set_done(std::int32_t row, std::int64_t t_done_ns) noexcept {
  if (row == kNoRow) return;
  requests_[static_cast<std::size_t>(row)].t_done_ns.store(t_done_ns, kRelaxed);
}

void PacedTruth::set_first_on_wire(std::int32_t row, std::int64_t t_ns) noexcept {
  if (row == kNoRow) return;
  requests_[static_cast<std::size_t>(row)].t_first_on_wire_ns.store(t_ns, kRelaxed);
}

void PacedTruth::distrust_arrivals(std::size_t first_row) noexcept {
  for (std::size_t row = first_row; row < n_requests_.load(kRelaxed); ++row) {
    Request& request = requests_[row];
    request.t_arrival_ns.store(request.t_read_ns, kRelaxed);
    request.by_kernel.store(0, kRelaxed);
  }
}

void PacedTruth::add_send(std::int32_t row, std::int64_t t_send_ns, std::int64_t t_due_ns, std::int32_t n_tokens,
                          std::int32_t n_events) noexcept {
  const std::size_t index = n_sends_.load(kRelaxed);
  if (row == kNoRow || index == sends_.capacity()) {
    count(n_sends_lost_);
    return;
  }
  sends_[index] = {t_send_ns, t_due_ns, row, n_tokens, n_events};
  n_sends_.store(index + 1, std::memory_order_release);
}

PacedTruthColumns PacedTruth::columns() const {
  // Sends first: a send that is seen then has its request's row published, for that came before.
  const std::size_t n_sends = n_sends_.load(std::memory_order_acquire);
  const std::size_t n_requests = n_requests_.load(std::memory_order_acquire);
  PacedTruthColumns columns;
  for (std::size_t row = 0; row < n_requests; ++row) {
    const Request& request = requests_[row];
    columns.t_arrival_ns.push_back(request.t_arrival_ns.load(kRelaxed));
    columns.arrival_kernel.push_back(request.by_kernel.load(kRelaxed));
    columns.t_read_ns.push_back(request.t_read_ns);
    columns.t_done_ns.push_back(request.t_done_ns.load(kRelaxed));
    columns.t_first_on_wire_ns.push_back(request.t_first_on_wire_ns.load(kRelaxed));
    columns.prompt_tokens.push_back(request.prompt_tokens.load(kRelaxed));
    columns.max_tokens.push_back(request.max_tokens.load(kRelaxed));
    columns.status.push_back(request.status.load(kRelaxed));
    columns.fault.push_back(request.fault.load(kRelaxed));
  }
  columns.send_offsets.assign(n_requests + 1, 0);
  for (std::size_t i = 0; i < n_sends; ++i) ++columns.send_offsets[static_cast<std::size_t>(sends_[i].row) + 1];
  for (std::size_t row = 0; row < n_requests; ++row) columns.send_offsets[row + 1] += columns.send_offsets[row];
  columns.t_send_ns.resize(n_sends);
  columns.t_due_ns.resize(n_sends);
  columns.n_tokens.resize(n_sends);
  columns.n_events.resize(n_sends);
  std::vector<std::int64_t> next(columns.send_offsets.begin(), columns.send_offsets.end() - 1);
  for (std::size_t i = 0; i < n_sends; ++i) {
    const Send& send = sends_[i];
    const auto to = static_cast<std::size_t>(next[static_cast<std::size_t>(send.row)]++);
    columns.t_send_ns[to] = send.t_send_ns;
    columns.t_due_ns[to] = send.t_due_ns;
    columns.n_tokens[to] = send.n_tokens;
    columns.n_events[to] = send.n_events;
  }
  columns.n_requests_lost = n_requests_lost_.load(kRelaxed);
  columns.n_sends_lost = n_sends_lost_.load(kRelaxed);
  return columns;
}

}  // namespace tokenclock
