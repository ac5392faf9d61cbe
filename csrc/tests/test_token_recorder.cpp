#include <algorithm>
#include <atomic>
#include <limits>
#include <new>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

#include "check.h"
#include "tokenclock/token_recorder.h"

namespace {

using tokenclock::kMissingNs;
using tokenclock::TokenColumns;
using tokenclock::TokenRecorder;
using tokenclock::TokenRow;

void records_what_is_stamped() {
  TokenRecorder recorder(3, 10);
  const std::int64_t before = tokenclock::now_ns();
  TokenRow& row = recorder.row(1);
  CHECK(row.stamp());
  CHECK(row.stamp_n(4));
  CHECK(!row.is_finished());
  CHECK(row.finish());
  const std::int64_t after = tokenclock::now_ns();
  CHECK_EQ(row.n_events(), 2);
  CHECK_EQ(row.n_tokens()[0], 1);
  CHECK_EQ(row.n_tokens()[1], 4);
  constexpr std::int64_t kSlackNs = 10'000;  // the stamps' clock may differ from now_ns() a little
  CHECK(before - kSlackNs <= row.t_token_ns()[0]);
  CHECK(row.t_token_ns()[0] <= row.t_token_ns()[1]);
  CHECK(row.t_token_ns()[1] <= row.t_done_ns());
  CHECK(row.t_done_ns() <= after + kSlackNs);
  CHECK_EQ(recorder.n_events(), 2);
  CHECK_EQ(recorder.n_lost(), 0);
}

void a_finished_row_keeps_its_end_and_refuses() {
  TokenRecorder recorder(1, 10);
  TokenRow& row = recorder.row(0);
  CHECK(row.stamp());
  CHECK(row.finish());
  const std::int64_t t_done_ns = row.t_done_ns();
  CHECK(!row.finish());
  CHECK(!row.stamp());
  CHECK_EQ(row.t_done_ns(), t_done_ns);
  CHECK_EQ(row.n_events(), 1);
  CHECK_EQ(row.n_lost(), 1);
}

void a_full_row_counts_and_spares_its_neighbour() {
  TokenRecorder recorder(2, 3);
  CHECK(recorder.row(1).stamp_n(7));
  const std::int64_t t_ns = recorder.row(1).t_token_ns()[0];
  for (int i = 0; i < 3; ++i) CHECK(recorder.row(0).stamp());
  for (int i = 0; i < 5; ++i) CHECK(!recorder.row(0).stamp());
  CHECK_EQ(recorder.row(0).n_events(), 3);
  CHECK_EQ(recorder.n_lost(), 5);
  CHECK_EQ(recorder.row(1).t_token_ns()[0], t_ns);
  CHECK_EQ(recorder.row(1).n_tokens()[0], 7);
  CHECK(recorder.row(0).finish());
}

void a_full_sized_row_never_moves() {
  TokenRecorder recorder(2);
  TokenRow& row = recorder.row(1);
  const std::int64_t* address = row.t_token_ns().data();
  for (std::int64_t i = 0; i < TokenRecorder::kDefaultMaxTokensPerRow; ++i) CHECK(row.stamp());
  CHECK(!row.stamp());
  CHECK(row.t_token_ns().data() == address);
  CHECK(std::is_sorted(row.t_token_ns().begin(), row.t_token_ns().end()));
}

void columns_are_ragged() {
  TokenRecorder recorder(4, 8);
  for (int i = 0; i < 3; ++i) CHECK(recorder.row(0).stamp());
  CHECK(recorder.row(2).stamp_n(5));
  CHECK(recorder.row(2).finish());
  CHECK(recorder.row(3).finish());
  const TokenColumns columns = recorder.columns();
  CHECK((columns.token_offsets == std::vector<std::int64_t>{0, 3, 3, 4, 4}));
  CHECK((columns.n_tokens == std::vector<std::int32_t>{1, 1, 1, 5}));
  CHECK_EQ(columns.t_token_ns[2], recorder.row(0).t_token_ns()[2]);
  CHECK_EQ(columns.t_token_ns[3], recorder.row(2).t_token_ns()[0]);
  CHECK_EQ(columns.t_done_ns[0], kMissingNs);
  CHECK_EQ(columns.t_done_ns[2], recorder.row(2).t_done_ns());
  CHECK_EQ(columns.t_done_ns[3], recorder.row(3).t_done_ns());
}

void refuses_bad_sizes_and_rows() {
  CHECK_THROWS(TokenRecorder(0, 1), std::invalid_argument);
  CHECK_THROWS(TokenRecorder(-1, 1), std::invalid_argument);
  CHECK_THROWS(TokenRecorder(1, 0), std::invalid_argument);
  constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();
  CHECK_THROWS(TokenRecorder(kHuge, kHuge), std::invalid_argument);
  CHECK_THROWS(TokenRecorder(1, kHuge), std::invalid_argument);
  TokenRecorder recorder(2, 1);
  CHECK_THROWS(recorder.row(-1), std::out_of_range);
  CHECK_THROWS(recorder.row(2), std::out_of_range);
}

// Each thread writes rows of its own, side by side in memory, while another takes copies of everything.
void threads_write_different_rows() {
  constexpr std::int64_t kThreads = 4;
  constexpr std::int64_t kRowsPerThread = 8;
  constexpr std::int32_t kEvents = 3000;
  TokenRecorder recorder(kThreads * kRowsPerThread, kEvents);
  std::atomic<std::int64_t> n_running{kThreads};
  std::vector<std::thread> writers;
  writers.reserve(kThreads);
  for (std::int64_t thread = 0; thread < kThreads; ++thread) {
    writers.emplace_back([&recorder, &n_running, thread] {
      for (std::int64_t k = 0; k < kRowsPerThread; ++k) {
        TokenRow& row = recorder.row(k * kThreads + thread);
        for (std::int32_t i = 1; i <= kEvents; ++i) CHECK(row.stamp_n(i));
        CHECK(row.finish());
      }
      --n_running;
    });
  }
  const auto check_copy = [&recorder] {
    const TokenColumns columns = recorder.columns();
    for (std::size_t row = 0; row < columns.t_done_ns.size(); ++row) {
      const auto first = static_cast<std::size_t>(columns.token_offsets[row]);
      const auto last = static_cast<std::size_t>(columns.token_offsets[row + 1]);
      std::int64_t t_previous_ns = 0;
      for (std::size_t k = first; k < last; ++k) {
        CHECK_EQ(static_cast<std::size_t>(columns.n_tokens[k]), k - first + 1);
        CHECK(columns.t_token_ns[k] >= t_previous_ns);
        t_previous_ns = columns.t_token_ns[k];
      }
      if (columns.t_done_ns[row] == kMissingNs) continue;
      CHECK_EQ(last - first, static_cast<std::size_t>(kEvents));
      CHECK(columns.t_done_ns[row] >= t_previous_ns);
    }
  };
  while (n_running.load() > 0) check_copy();
  for (std::thread& writer : writers) writer.join();
  check_copy();
  CHECK_EQ(recorder.n_events(), kThreads * kRowsPerThread * kEvents);
  CHECK_EQ(recorder.n_lost(), 0);
}

}  // namespace

int main() {
  records_what_is_stamped();
  a_finished_row_keeps_its_end_and_refuses();
  a_full_row_counts_and_spares_its_neighbour();
  a_full_sized_row_never_moves();
  columns_are_ragged();
  refuses_bad_sizes_and_rows();
  threads_write_different_rows();
}
