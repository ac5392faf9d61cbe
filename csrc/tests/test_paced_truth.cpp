// The truth's columns: grouping by request, what is missing, what is lost, and reading while it is written.
#include <atomic>
#include <thread>

#include "check.h"
#include "tokenclock/paced_truth.h"

namespace {

using tokenclock::kMissingNs;
using tokenclock::PacedTruth;
using tokenclock::PacedTruthColumns;

void check_columns() {
  PacedTruth truth(10, 100);
  const PacedTruthColumns empty = truth.columns();
  CHECK_EQ(empty.t_arrival_ns.size(), 0U);
  CHECK_EQ(empty.send_offsets.size(), 1U);

  CHECK_EQ(truth.add_request(100, true, 110), 0);
  CHECK_EQ(truth.add_request(200, false, 200), 1);
  CHECK_EQ(truth.add_request(300, true, 310), 2);
  truth.set_request(1, 7, 64);
  truth.set_status(1, 200);
  truth.set_fault(2, 0x12);
  truth.set_done(1, 999);
  truth.set_first_on_wire(1, 203);
  truth.add_send(2, 301, 300, 0, 0);
  truth.add_send(1, 202, 201, 1, 1);
  truth.add_send(2, 302, 303, 4, 2);
  truth.add_send(1, 204, 203, 1, 1);
  const PacedTruthColumns columns = truth.columns();
  CHECK(columns.t_arrival_ns == (std::vector<std::int64_t>{100, 200, 300}));
  CHECK(columns.arrival_kernel == (std::vector<std::uint8_t>{1, 0, 1}));
  CHECK(columns.t_read_ns == (std::vector<std::int64_t>{110, 200, 310}));
  CHECK(columns.t_done_ns == (std::vector<std::int64_t>{kMissingNs, 999, kMissingNs}));
  CHECK(columns.t_first_on_wire_ns == (std::vector<std::int64_t>{kMissingNs, 203, kMissingNs}));
  CHECK(columns.prompt_tokens == (std::vector<std::int32_t>{-1, 7, -1}));
  CHECK(columns.max_tokens == (std::vector<std::int32_t>{-1, 64, -1}));
  CHECK(columns.status == (std::vector<std::int16_t>{0, 200, 0}));
  CHECK(columns.fault == (std::vector<std::uint8_t>{0, 0, 0x12}));
  CHECK(columns.send_offsets == (std::vector<std::int64_t>{0, 0, 2, 4}));
  CHECK(columns.t_send_ns == (std::vector<std::int64_t>{202, 204, 301, 302}));
  CHECK(columns.t_due_ns == (std::vector<std::int64_t>{201, 203, 300, 303}));
  CHECK(columns.n_tokens == (std::vector<std::int32_t>{1, 1, 0, 4}));
  CHECK(columns.n_events == (std::vector<std::int32_t>{1, 1, 0, 2}));
  CHECK_EQ(columns.n_requests_lost, 0);
  CHECK_EQ(columns.n_sends_lost, 0);

  // the wall clock was stepped: the rows in doubt fall back to when they were read
  truth.distrust_arrivals(1);
  const PacedTruthColumns after = truth.columns();
  CHECK(after.t_arrival_ns == (std::vector<std::int64_t>{100, 200, 310}));
  CHECK(after.arrival_kernel == (std::vector<std::uint8_t>{1, 0, 0}));
  truth.set_first_on_wire(1, kMissingNs);
  CHECK_EQ(truth.columns().t_first_on_wire_ns[1], kMissingNs);
}

void check_losses() {
  PacedTruth truth(1, 2);
  CHECK_EQ(truth.add_request(1, true, 1), 0);
  CHECK_EQ(truth.add_request(2, true, 2), PacedTruth::kNoRow);
  for (const std::int32_t row : {0, PacedTruth::kNoRow, 0, 0}) truth.add_send(row, 3, 3, 1, 1);
  truth.set_request(PacedTruth::kNoRow, 1, 1);
  truth.set_first_on_wire(PacedTruth::kNoRow, 1);
  truth.set_status(PacedTruth::kNoRow, 200);
  truth.set_fault(PacedTruth::kNoRow, 1);
  truth.set_done(PacedTruth::kNoRow, 1);
  const PacedTruthColumns columns = truth.columns();
  CHECK_EQ(columns.t_send_ns.size(), 2U);
  CHECK_EQ(columns.n_requests_lost, 1);
  CHECK_EQ(columns.n_sends_lost, 2);
  CHECK_EQ(columns.status[0], 0);
}

// One thread writes, another reads: every copy is consistent in itself (and ThreadSanitizer sees no race).
void check_reading_while_written() {
  constexpr int kRequests = 2000;
  PacedTruth truth(kRequests, 4 * kRequests);
  std::atomic<bool> writing{true};
  std::thread writer([&] {
    for (int k = 0; k < kRequests; ++k) {
      const std::int32_t row = truth.add_request(k, true, k + 1);
      for (int i = 0; i < 4; ++i) truth.add_send(row, k, k, i, 1);
      truth.set_done(row, k + 2);
      if (k % 100 == 99) truth.distrust_arrivals(static_cast<std::size_t>(k - 50));
    }
    writing.store(false);
  });
  while (writing.load()) {
    const PacedTruthColumns columns = truth.columns();
    CHECK_EQ(columns.send_offsets.size(), columns.t_arrival_ns.size() + 1);
    CHECK_EQ(columns.send_offsets.back(), static_cast<std::int64_t>(columns.t_send_ns.size()));
    for (std::size_t k = 0; k < columns.t_arrival_ns.size(); ++k) {
      for (auto i = columns.send_offsets[k]; i < columns.send_offsets[k + 1]; ++i) {
        CHECK_EQ(columns.t_send_ns[static_cast<std::size_t>(i)], static_cast<std::int64_t>(k));
        CHECK_EQ(columns.n_tokens[static_cast<std::size_t>(i)], static_cast<std::int32_t>(i - columns.send_offsets[k]));
      }
    }
  }
  writer.join();
  CHECK_EQ(truth.n_sends(), 4U * kRequests);
}

}  // namespace

int main() {
  check_columns();
  check_losses();
  check_reading_while_written();
  return 0;
}
