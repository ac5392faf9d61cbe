#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <set>
#include <stdexcept>

#include "check.h"
#include "scripted_server.h"
#include "tokenclock/load_client.h"

using namespace tokenclock;
using test::ScriptedServer;

namespace {

using std::chrono::milliseconds;

constexpr std::int64_t kMs = 1'000'000;

std::string chunk(const std::string& data) {
  char size[16];
  std::snprintf(size, sizeof size, "%zx\r\n", data.size());
  return size + data + "\r\n";
}

const std::string kHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
const std::string kToken = chunk("data: {\"id\":\"r\",\"choices\":[{\"text\":\"a\"}]}\n\n");
const std::string kEnd = chunk(
                             "data: "
                             "{\"choices\":[{\"text\":\"\",\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":"
                             "1,\"completion_tokens\":3}}\n\ndata: [DONE]\n\n") +
                         "0\r\n\r\n";

bool answer(int fd, int /*n*/, const std::string& /*request*/) {
  return ScriptedServer::write(fd, kHead) && ScriptedServer::write(fd, kToken) && ScriptedServer::write(fd, kToken) &&
         ScriptedServer::write(fd, kToken + kEnd);
}

LoadOptions options_for(std::uint16_t port) {
  LoadOptions options;
  options.addresses = {parse_address("127.0.0.1", port)};
  options.request_head = "POST /v1/completions HTTP/1.1\r\nHost: test\r\n";
  return options;
}

void submit(LoadClient& client, int n, std::int64_t gap_ns = 0) {
  std::string arena;
  std::vector<std::int64_t> offsets{0};
  std::vector<std::int64_t> due;
  std::vector<std::int32_t> rows;
  for (int i = 0; i < n; ++i) {
    arena += "{\"row\":" + std::to_string(i) + "}";
    offsets.push_back(static_cast<std::int64_t>(arena.size()));
    due.push_back(i * gap_ns);
    rows.push_back(i);
  }
  client.submit(arena, offsets, due, rows);
  client.close();
}

int status_of(const LoadClient& client, std::size_t row) { return client.columns().status[row]; }
int number(RequestStatus status) { return static_cast<int>(status); }

void run(LoadClient& client) {
  client.start();
  CHECK(client.wait(20'000 * kMs));
}

void a_closed_loop_keeps_its_slots_and_reuses_connections() {
  ScriptedServer server(answer);
  LoadOptions options = options_for(server.port());
  options.closed_loop = true;
  options.max_concurrency = 4;
  options.n_workers = 2;
  {
    LoadClient client(options, 40);
    submit(client, 40);
    run(client);
    const RequestColumns& columns = client.columns();
    for (std::size_t row = 0; row < 40; ++row) {
      CHECK_EQ(status_of(client, row), number(RequestStatus::ok));
      CHECK(columns.t_scheduled_ns[row] <= columns.t_sent_ns[row]);
      CHECK(columns.t_sent_ns[row] <= columns.t_first_token_ns[row]);
      CHECK(columns.t_first_token_ns[row] <= columns.t_last_token_ns[row]);
      CHECK(columns.t_last_token_ns[row] <= columns.t_done_ns[row]);
      CHECK_EQ(columns.osl_server[row], 3);
    }
    CHECK_EQ(client.tokens().n_events, std::size_t{120});
    CHECK_EQ(client.tokens().offsets[40], 120);
    CHECK_EQ(client.progress().n_done, 40);
    CHECK_EQ(client.pending_bytes(), 0);
    const auto final = client.take_final();
    CHECK_EQ(final.events.size(), std::size_t{120});
    CHECK_EQ(final.rows.size(), std::size_t{40});
  }
  CHECK(server.n_connections() <= 4);
}

void connections_anew_when_asked() {
  ScriptedServer server(answer);
  LoadOptions options = options_for(server.port());
  options.closed_loop = true;
  options.max_concurrency = 1;
  options.keep_alive = false;
  LoadClient client(options, 5);
  submit(client, 5);
  run(client);
  CHECK_EQ(server.n_connections(), 5);
  CHECK(client.columns().t_connect_ns[4] != kMissingNs);
}

void an_open_loop_keeps_its_schedule_while_the_server_is_slow() {
  ScriptedServer server([](int fd, int n, const std::string& request) {
    std::this_thread::sleep_for(milliseconds(100));
    return answer(fd, n, request);
  });
  LoadClient client(options_for(server.port()), 10);
  submit(client, 10, 5 * kMs);
  run(client);
  for (std::size_t row = 0; row < 10; ++row) {
    CHECK_EQ(client.columns().t_scheduled_ns[row], static_cast<std::int64_t>(row) * 5 * kMs);
    CHECK_EQ(status_of(client, row), number(RequestStatus::ok));
    CHECK(client.columns().t_sent_ns[row] >= client.columns().t_scheduled_ns[row]);
  }
  // ten answers of 100 ms each, sent without waiting for one another
  CHECK(client.columns().t_sent_ns[9] < client.columns().t_done_ns[0]);
}

void a_reused_connection_that_died_is_replaced_once() {
  ScriptedServer server([](int fd, int n, const std::string& request) { return answer(fd, n, request) && n < 1; });
  LoadOptions options = options_for(server.port());
  options.closed_loop = true;
  options.max_concurrency = 1;
  LoadClient client(options, 6);
  submit(client, 6);
  run(client);
  for (std::size_t row = 0; row < 6; ++row) CHECK_EQ(status_of(client, row), number(RequestStatus::ok));
  CHECK_EQ(server.n_connections(), 3);
}

// llama.cpp does so after each stream, whatever its headers say.
void a_server_that_closes_after_each_reply_is_seen_through() {
  ScriptedServer server([](int fd, int n, const std::string& request) { return answer(fd, n, request) && false; });
  LoadOptions options = options_for(server.port());
  options.closed_loop = true;
  options.max_concurrency = 1;
  LoadClient client(options, 60);
  submit(client, 60);
  run(client);
  for (std::size_t row = 0; row < 60; ++row) CHECK_EQ(status_of(client, row), number(RequestStatus::ok));
  CHECK(client.worker(0).facts().n_resent <= 3);  // after which it is known
  CHECK_EQ(server.n_connections(), 60);
}

void a_number_of_replies_that_was_learnt_is_unlearnt() {
  std::atomic<int> n_served{0};
  // closes after every second reply at first, and then never again
  ScriptedServer server([&](int fd, int n, const std::string& request) {
    return answer(fd, n, request) && (n % 2 == 0 || ++n_served > 20);
  });
  LoadOptions options = options_for(server.port());
  options.closed_loop = true;
  options.max_concurrency = 1;
  LoadClient client(options, 1200);
  submit(client, 1200);
  run(client);
  for (std::size_t row = 0; row < 1200; ++row) CHECK_EQ(status_of(client, row), number(RequestStatus::ok));
  CHECK_EQ(client.worker(0).facts().replies_per_connection, 0);
  CHECK(server.n_connections() < 600);
}

void a_close_is_seen_while_the_connection_is_idle() {
  ScriptedServer server([](int fd, int n, const std::string& request) { return answer(fd, n, request) && false; });
  LoadClient client(options_for(server.port()), 3);
  submit(client, 3, 150 * kMs);
  run(client);
  CHECK_EQ(client.worker(0).facts().n_resent, 0);
  CHECK(client.worker(0).facts().n_seen_closed >= 2);  // the last one may outlast the run
  for (std::size_t row = 0; row < 3; ++row) CHECK_EQ(status_of(client, row), number(RequestStatus::ok));
}

void slots_open_one_by_one_while_the_load_ramps_up() {
  ScriptedServer server([](int fd, int n, const std::string& request) {
    std::this_thread::sleep_for(milliseconds(20));
    return answer(fd, n, request);
  });
  LoadOptions options = options_for(server.port());
  options.closed_loop = true;
  options.max_concurrency = 8;
  options.n_workers = 2;
  options.ramp_up_ns = 400 * kMs;
  LoadClient client(options, 200);
  submit(client, 200);
  run(client);
  // each connection is one slot: slot k of n opens k/n of the way, on whichever worker
  std::vector<std::int64_t> sent;
  for (std::size_t row = 0; row < 200; ++row) {
    CHECK_EQ(status_of(client, row), number(RequestStatus::ok));
    if (client.columns().t_connect_ns[row] != kMissingNs) sent.push_back(client.columns().t_connect_ns[row]);
  }
  std::sort(sent.begin(), sent.end());
  CHECK_EQ(sent.size(), std::size_t{8});
  for (std::size_t pair = 0; pair < 4; ++pair) {
    CHECK(sent[2 * pair] >= static_cast<std::int64_t>(pair) * 100 * kMs);
  }
  CHECK(sent[7] < 600 * kMs);
}

void a_new_connection_that_dies_is_a_failure() {
  ScriptedServer server([](int, int, const std::string&) { return false; });
  LoadClient client(options_for(server.port()), 1);
  submit(client, 1);
  run(client);
  CHECK_EQ(status_of(client, 0), number(RequestStatus::truncated));
  CHECK_EQ(int{client.columns().resent[0]}, 0);
}

void nobody_listens() {
  std::uint16_t port = 0;
  {
    ScriptedServer server(answer);
    port = server.port();
  }
  LoadOptions options = options_for(port);
  options.closed_loop = true;
  options.max_concurrency = 8;
  LoadClient client(options, 100);
  submit(client, 100);
  run(client);
  for (std::size_t row = 0; row < 100; ++row) CHECK_EQ(status_of(client, row), number(RequestStatus::connect_error));
  CHECK(client.worker(0).recording().errors().at(0).find("connect: ") == 0);
}

void the_second_address_is_tried() {
  ScriptedServer server(answer);
  LoadOptions options = options_for(server.port());
  options.addresses.insert(options.addresses.begin(), parse_address("::1", server.port()));
  LoadClient client(options, 3);
  submit(client, 3);
  run(client);
  for (std::size_t row = 0; row < 3; ++row) CHECK_EQ(status_of(client, row), number(RequestStatus::ok));
}

void time_outs() {
  std::atomic<bool> done{false};
  ScriptedServer server([&done](int fd, int, const std::string& request) {
    ScriptedServer::write(fd, kHead + kToken);
    const bool drips = request.find("\"row\":0") != std::string::npos;
    while (!done) {
      std::this_thread::sleep_for(milliseconds(20));
      if (drips) ScriptedServer::write(fd, kToken);
    }
    return false;
  });
  LoadOptions options = options_for(server.port());
  options.request_timeout_ns = 600 * kMs;
  options.no_progress_timeout_ns = 200 * kMs;
  {
    LoadClient client(options, 2);
    submit(client, 2);
    run(client);
    CHECK_EQ(status_of(client, 0), number(RequestStatus::timeout));
    CHECK_EQ(status_of(client, 1), number(RequestStatus::stalled));
    CHECK(client.columns().osl_events[0] > 2);
    CHECK_EQ(client.columns().osl_events[1], 1);
  }
  done = true;
}

void stop_keeps_what_was_done() {
  std::atomic<bool> done{false};
  ScriptedServer server([&done](int fd, int n, const std::string& request) {
    if (request.find("\"row\":0}") != std::string::npos) return answer(fd, n, request);
    ScriptedServer::write(fd, kHead + kToken);
    while (!done) std::this_thread::sleep_for(milliseconds(5));
    return false;
  });
  LoadOptions options = options_for(server.port());
  options.closed_loop = true;
  options.max_concurrency = 1;
  {
    LoadClient client(options, 3);
    submit(client, 3);
    client.start();
    while (client.progress().n_done < 1 || client.progress().n_events < 4) CHECK(!client.wait(kMs));
    CHECK_THROWS(client.tokens(), std::logic_error);
    client.stop();
    CHECK_EQ(status_of(client, 0), number(RequestStatus::ok));
    CHECK_EQ(status_of(client, 1), number(RequestStatus::cancelled));
    CHECK_EQ(status_of(client, 2), number(RequestStatus::not_sent));
    CHECK_EQ(client.tokens().n_events, std::size_t{4});
  }
  done = true;
}

void a_large_body_is_sent_in_pieces() {
  std::atomic<std::size_t> received{0};
  ScriptedServer server([&received](int fd, int n, const std::string& request) {
    received = request.size();
    return answer(fd, n, request);
  });
  LoadClient client(options_for(server.port()), 1);
  const std::string body(8u << 20, 'x');
  client.submit(body, {0, static_cast<std::int64_t>(body.size())}, {0}, {0});
  client.close();
  run(client);
  CHECK_EQ(status_of(client, 0), number(RequestStatus::ok));
  CHECK(received > body.size());
}

void requests_may_come_while_it_runs() {
  ScriptedServer server(answer);
  LoadOptions options = options_for(server.port());
  options.closed_loop = true;
  options.max_concurrency = 2;
  options.n_workers = 2;
  LoadClient client(options, 200);
  client.start();
  for (int i = 0; i < 200; ++i) client.submit("{}", {0, 2}, {0}, {i});
  CHECK(!client.ended());
  client.close();
  CHECK(client.wait(20'000 * kMs));
  std::size_t n_final = client.take_final().events.size();
  CHECK_EQ(n_final, std::size_t{600});
}

// The machine's clocks, but the wall clock jumps ahead when told.
class SteppingClock final : public ClockSource {
 public:
  [[nodiscard]] std::int64_t monotonic_ns() const noexcept override { return system_clock_source().monotonic_ns(); }
  [[nodiscard]] std::int64_t realtime_ns() const noexcept override {
    return system_clock_source().realtime_ns() + step_ns.load();
  }
  std::atomic<std::int64_t> step_ns{0};
};

void a_stepped_wall_clock_is_noticed_and_costs_precision_not_truth() {
  SteppingClock clock;
  ScriptedServer server([&clock](int fd, int n, const std::string& request) {
    ScriptedServer::write(fd, kHead + kToken);
    std::this_thread::sleep_for(milliseconds(150));
    clock.step_ns = 300'000;  // stamps seem to come 0.3 ms before their time from now on
    std::this_thread::sleep_for(milliseconds(10));
    ScriptedServer::write(fd, kToken);
    std::this_thread::sleep_for(milliseconds(250));
    return answer(fd, n, request) && false;
  });
  LoadOptions options = options_for(server.port());
  options.clock_source = &clock;
  LoadClient client(options, 1);
  submit(client, 1);
  run(client);
  if (!client.kernel_stamps()) return;  // nothing to convert where the kernel stamps nothing
  CHECK_EQ(client.worker(0).facts().n_clock_steps, 1);
  const RaggedTokens& tokens = client.tokens();
  for (std::size_t i = 0; i < tokens.n_events; ++i) {
    CHECK(tokens.t_token_ns[i] <= tokens.t_read_ns[i]);
    CHECK(tokens.t_read_ns[i] - tokens.t_token_ns[i] < 100 * kMs);
  }
}

void a_request_may_have_header_lines_of_its_own() {
  std::mutex mutex;
  std::set<std::string> heads;
  ScriptedServer server([&](int fd, int n, const std::string& request) {
    {
      const std::scoped_lock lock(mutex);
      heads.insert(request);
    }
    return answer(fd, n, request);
  });
  LoadClient client(options_for(server.port()), 3);
  client.submit("aabbb", {0, 2, 5}, {0, 0}, {0, 1}, "X-Id: 0\r\nX-Id: 1\r\nY: 2\r\n", {0, 9, 24});
  client.submit("c", {0, 1}, {0}, {2});
  client.close();
  run(client);
  const std::string head = "POST /v1/completions HTTP/1.1\r\nHost: test\r\n";
  CHECK(heads == (std::set<std::string>{head + "X-Id: 0\r\nContent-Length: 2\r\n\r\naa",
                                        head + "X-Id: 1\r\nY: 2\r\nContent-Length: 3\r\n\r\nbbb",
                                        head + "Content-Length: 1\r\n\r\nc"}));
}

void wrong_input_is_refused() {
  CHECK_THROWS(LoadClient(LoadOptions{}, 1), std::invalid_argument);
  LoadOptions options = options_for(1);
  options.closed_loop = true;
  CHECK_THROWS(LoadClient(options, 1), std::invalid_argument);
  LoadClient client(options_for(1), 1);
  CHECK_THROWS(client.submit("{}", {0, 2}, {0}, {1}), std::invalid_argument);
  CHECK_THROWS(client.submit("{}", {0, 3}, {0}, {0}), std::invalid_argument);
  CHECK_THROWS(client.submit("{}", {0}, {0}, {0}), std::invalid_argument);
  CHECK_THROWS(client.submit("{}", {0, 2}, {0}, {0}, "A: b\r\n", {0, 7}), std::invalid_argument);
  CHECK_THROWS(client.submit("{}", {0, 2}, {0}, {0}, "A: b\r\n", {0}), std::invalid_argument);
  client.close();
  CHECK_THROWS(client.submit("{}", {0, 2}, {0}, {0}), std::logic_error);
  CHECK_THROWS(parse_address("localhost", 80), std::invalid_argument);
}

}  // namespace

int main() {
  a_closed_loop_keeps_its_slots_and_reuses_connections();
  connections_anew_when_asked();
  an_open_loop_keeps_its_schedule_while_the_server_is_slow();
  a_reused_connection_that_died_is_replaced_once();
  a_server_that_closes_after_each_reply_is_seen_through();
  a_number_of_replies_that_was_learnt_is_unlearnt();
  a_close_is_seen_while_the_connection_is_idle();
  slots_open_one_by_one_while_the_load_ramps_up();
  a_new_connection_that_dies_is_a_failure();
  nobody_listens();
  the_second_address_is_tried();
  time_outs();
  stop_keeps_what_was_done();
  a_large_body_is_sent_in_pieces();
  requests_may_come_while_it_runs();
  a_stepped_wall_clock_is_noticed_and_costs_precision_not_truth();
  a_request_may_have_header_lines_of_its_own();
  wrong_input_is_refused();
}
