#include <memory>

#include "check.h"
#include "tokenclock/columns.h"

using namespace tokenclock;

static void reserved_array_is_zero_and_stays_put() {
  ReservedArray<std::int64_t> column(1u << 24);
  const std::int64_t* before = column.data();
  CHECK_EQ(column[0], 0);
  column[(1u << 24) - 1] = 7;
  ReservedArray<std::int64_t> moved = std::move(column);
  CHECK(moved.data() == before);
  CHECK_EQ(moved[(1u << 24) - 1], 7);
  CHECK(column.data() == nullptr);
}

static void a_fresh_table_says_that_nothing_was_sent() {
  const RequestColumns columns(3);
  CHECK_EQ(int{columns.status[2]}, static_cast<int>(RequestStatus::not_sent));
  CHECK_EQ(columns.t_sent_ns[0], kMissingNs);
  CHECK_EQ(columns.osl_server[1], -1);
  CHECK(columns.tokens_per_iteration[0] != columns.tokens_per_iteration[0]);
}

static void ragged_groups_by_row_and_keeps_arrival_order() {
  TokenEventLog a(10);
  TokenEventLog b(10);
  a.append({.t_token_ns = 10, .t_read_ns = 11, .row = 2, .n_tokens = 1});
  a.append({.t_token_ns = 20, .t_read_ns = 21, .row = 0, .n_tokens = 2});
  a.append({.t_token_ns = 30, .t_read_ns = 31, .row = 2, .n_tokens = 3});
  b.append({.t_token_ns = 15, .t_read_ns = 16, .row = 3, .n_tokens = 4});
  const RaggedTokens ragged = to_ragged({&a, &b}, 5);
  CHECK_EQ(ragged.n_events, std::size_t{4});
  const std::vector<std::int64_t> expected{0, 1, 1, 3, 4, 4};
  CHECK(ragged.offsets == expected);
  CHECK_EQ(ragged.t_token_ns[0], 20);
  CHECK_EQ(ragged.t_token_ns[1], 10);
  CHECK_EQ(ragged.t_token_ns[2], 30);
  CHECK_EQ(ragged.n_tokens[3], 4);
  CHECK_EQ(ragged.t_read_ns[3], 16);
}

static void a_full_log_counts_what_it_lost() {
  TokenEventLog log(1);
  CHECK(log.append({}));
  CHECK(!log.append({}));
  CHECK_EQ(log.size(), std::size_t{1});
  CHECK_EQ(log.n_lost(), std::size_t{1});
  CHECK_EQ(log.published(), std::size_t{0});
  log.publish();
  CHECK_EQ(log.published(), std::size_t{1});
}

int main() {
  reserved_array_is_zero_and_stays_put();
  a_fresh_table_says_that_nothing_was_sent();
  ragged_groups_by_row_and_keeps_arrival_order();
  a_full_log_counts_what_it_lost();
}
