// The whole server over loopback: what clients get, and what the truth says of it.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include "check.h"
#include "tokenclock/paced_server.h"
#include "tokenclock/receive_stamp.h"

namespace {

using namespace tokenclock;
using namespace std::chrono_literals;

// A blocking client connection that gives up after ten seconds of silence.
class Client {
 public:
  explicit Client(std::uint16_t port, int receive_bytes = 0) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    CHECK(fd_ >= 0);
    if (receive_bytes > 0) setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    const timeval limit{10, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client() { close(fd_); }

  void send_all(std::string_view bytes) {
    CHECK_EQ(send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  // Reads until `end` was seen `times` times, or the server closes.
  std::string read_until(std::string_view end, int times = 1) {
    std::string got;
    std::size_t from = 0;
    while (true) {
      for (std::size_t at = got.find(end, from); at != std::string::npos; at = got.find(end, from)) {
        from = at + end.size();
        if (--times == 0) return got;
      }
      char buffer[65536];
      const ssize_t n = recv(fd_, buffer, sizeof buffer, 0);
      CHECK(n >= 0 || errno == ECONNRESET);
      if (n <= 0) return got;
      got.append(buffer, static_cast<std::size_t>(n));
    }
  }
  std::string read_to_end() { return read_until("\x01never"); }
  void stop_sending() { shutdown(fd_, SHUT_WR); }

 private:
  int fd_;
};

std::string request(std::string_view body, std::string_view headers = "", std::string_view path = "/v1/completions") {
  return "POST " + std::string(path) + " HTTP/1.1\r\nHost: x\r\n" + std::string(headers) +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}
std::string stream_request(int n_tokens) {
  return request(R"({"prompt":[1,2,3],"stream":true,"max_tokens":)" + std::to_string(n_tokens) + "}");
}
constexpr std::string_view kDone = "data: [DONE]\n\n\r\n0\r\n\r\n";

PacedOptions quick() {
  PacedOptions options;
  options.ttft.mean_ns = 5'000'000;
  options.itl.mean_ns = 2'000'000;
  return options;
}

int count(std::string_view text, std::string_view part) {
  int n = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

void wait_for(const std::function<bool()>& holds) {
  for (int i = 0; i < 1000 && !holds(); ++i) std::this_thread::sleep_for(10ms);
  CHECK(holds());
}

void check_stream_and_truth() {
  PacedServer server(quick());
  server.start();
  Client client(server.port());
  const std::int64_t t_before_ns = now_ns();
  client.send_all(stream_request(10));
  const std::string got = client.read_until(kDone);
  const std::int64_t t_after_ns = now_ns();
  CHECK_EQ(count(got, R"("text":" w)"), 10);
  server.stop();
  const PacedTruthColumns truth = server.truth();
  CHECK_EQ(truth.t_arrival_ns.size(), 1U);
  CHECK_EQ(truth.arrival_kernel[0] != 0, wake_kernel_stamping());
  CHECK(truth.t_arrival_ns[0] >= t_before_ns - 1'000'000 && truth.t_arrival_ns[0] <= truth.t_read_ns[0]);
  CHECK_EQ(truth.prompt_tokens[0], 3);
  CHECK_EQ(truth.max_tokens[0], 10);
  CHECK_EQ(truth.status[0], 200);
  CHECK_EQ(truth.t_send_ns.size(), 11U);  // the head, then the tokens; the tail goes with the last one
  CHECK_EQ(truth.n_tokens[0], 0);
  for (std::size_t i = 1; i < 11; ++i) {
    CHECK_EQ(truth.n_tokens[i], 1);
    CHECK(truth.t_send_ns[i] >= truth.t_due_ns[i] && truth.t_send_ns[i] <= t_after_ns);
    if (i > 1) CHECK_EQ(truth.t_due_ns[i] - truth.t_due_ns[i - 1], 2'000'000);
  }
  CHECK(truth.t_due_ns[1] >= truth.t_arrival_ns[0] + 5'000'000);
  CHECK(truth.t_due_ns[1] < truth.t_arrival_ns[0] + 7'000'000);
  CHECK(truth.t_done_ns[0] >= truth.t_send_ns[10]);
  const std::int64_t t_on_wire_ns = truth.t_first_on_wire_ns[0];  // of the first token, which is the second send
  if (wake_kernel_stamping()) CHECK(t_on_wire_ns >= truth.t_send_ns[1] && t_on_wire_ns < truth.t_send_ns[2]);
  CHECK_EQ(server.figures().n_in_flight, 0);
  CHECK(server.figures().cpu_ns > 0);
}

void check_pipelining() {
  PacedServer server(quick());
  server.start();
  Client client(server.port());
  client.send_all(stream_request(3) + "GET /health HTTP/1.1\r\n\r\n" + stream_request(2));
  const std::string got = client.read_until(kDone, 2);
  CHECK(got.find("paced-0") < got.find(R"({"status":"ok"})"));
  CHECK(got.find(R"({"status":"ok"})") < got.find("paced-1"));
  CHECK_EQ(count(got, R"("text":" w)"), 5);
  // far more at once than are queued: reading pauses and goes on
  std::string many;
  for (int i = 0; i < 500; ++i) many += "GET /health HTTP/1.1\r\n\r\n";
  client.send_all(many);
  CHECK_EQ(count(client.read_until(R"("ok"})", 500), "HTTP/1.1 200"), 500);
  // a client that is done sending still gets its answer, then the end
  client.send_all(stream_request(3));
  client.stop_sending();
  CHECK(client.read_to_end().ends_with(kDone));
}

void check_bytes_one_by_one() {
  PacedServer server(quick());
  server.start();
  Client client(server.port());
  for (const char byte : stream_request(1)) client.send_all(std::string_view(&byte, 1));
  client.read_until(kDone);
  Client waiting(server.port());
  waiting.send_all("POST /v1/completions HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 12\r\n\r\n");
  CHECK_EQ(waiting.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  waiting.send_all(R"({"prompt":7})");
  CHECK(waiting.read_until("}}").starts_with("HTTP/1.1 400 "));
  Client confused(server.port());
  confused.send_all("what?\r\n" + std::string(100'000, 'x'));
  const std::string answer = confused.read_to_end();
  CHECK(answer.starts_with("HTTP/1.1 400 ") && count(answer, "HTTP/1.1") == 1);
  Client old(server.port());
  old.send_all(
      "POST /v1/completions HTTP/1.0\r\nContent-Length: 43\r\n\r\n{\"prompt\":\"x\",\"stream\":true,\"max_tokens\":2}");
  const std::string plain = old.read_to_end();
  CHECK(plain.ends_with("data: [DONE]\n\n") && plain.find("chunked") == std::string::npos);
}

// A reader that does not read: the server waits for it alone, and every token arrives in the end.
void check_slow_reader() {
  PacedOptions options = quick();
  options.mode = PacedMode::flood;
  PacedServer server(options);
  server.start();
  Client slow(server.port(), 128 * 1024);
  slow.send_all(stream_request(50'000));
  Client other(server.port());
  other.send_all(stream_request(20));
  CHECK_EQ(count(other.read_until(kDone), R"("text":" w)"), 20);
  wait_for([&, before = std::int64_t{-1}]() mutable {
    return std::exchange(before, server.figures().n_tokens) == server.figures().n_tokens;  // full up to the brim
  });
  CHECK(server.figures().n_tokens < 50'000);
  CHECK_EQ(count(slow.read_until(kDone), R"("text":" w)"), 50'000);
  slow.send_all(stream_request(1));
  slow.read_until(kDone);
  server.stop();
  const PacedTruthColumns truth = server.truth();
  CHECK_EQ(truth.t_arrival_ns.size(), 3U);
  CHECK_EQ(truth.t_send_ns.size(), 50'001U + 21U + 2U);
}

void check_vanished_clients() {
  PacedServer server(quick());
  server.start();
  {
    std::vector<std::unique_ptr<Client>> clients;
    for (int i = 0; i < 20; ++i) {
      clients.push_back(std::make_unique<Client>(server.port()));
      clients.back()->send_all(stream_request(100'000));
    }
    wait_for([&] { return server.figures().n_tokens > 100; });
    CHECK_EQ(server.figures().n_in_flight, 20);
  }
  wait_for([&] { return server.figures().n_in_flight == 0; });
  Client next(server.port());
  next.send_all(stream_request(1));
  next.read_until(kDone);
  server.stop();
  const PacedTruthColumns truth = server.truth();
  CHECK_EQ(truth.t_done_ns[0], kMissingNs);
  CHECK(truth.t_done_ns[20] != kMissingNs);
}

void check_reading_the_truth_meanwhile() {
  PacedOptions options = quick();
  options.mode = PacedMode::flood;
  PacedServer server(options);
  server.start();
  Client client(server.port());
  client.send_all(stream_request(3000));
  std::thread reader([&] { CHECK_EQ(count(client.read_until(kDone), R"("text":" w)"), 3000); });
  for (int i = 0; i < 20; ++i) {
    const PacedTruthColumns truth = server.truth();
    CHECK_EQ(truth.send_offsets.back(), static_cast<std::int64_t>(truth.t_send_ns.size()));
    (void)server.figures();
  }
  reader.join();
}

// The wall clock as the server sees it, which the test may set; the machine's own is left alone.
class SettableClock final : public ClockSource {
 public:
  [[nodiscard]] std::int64_t monotonic_ns() const noexcept override { return now_ns(); }
  [[nodiscard]] std::int64_t realtime_ns() const noexcept override {
    return system_clock_source().realtime_ns() + ahead_ns.load();
  }
  std::atomic<std::int64_t> ahead_ns{0};
};

void check_stepped_wall_clock() {
  SettableClock clock;
  PacedOptions options = quick();
  options.ttft.mean_ns = 800'000'000;  // the clock is set before the first token leaves
  PacedServer server(options, clock);
  server.start();
  Client client(server.port());
  client.send_all(stream_request(1));
  client.read_until(kDone);
  if (server.truth().arrival_kernel[0] == 0) return;  // nothing to lose where the kernel stamps nothing
  client.send_all(stream_request(1));
  client.read_until("\r\n\r\n");  // the head: this request's arrival is on record
  CHECK_EQ(server.truth().arrival_kernel[1], 1);
  CHECK(server.truth().t_first_on_wire_ns[0] != kMissingNs);
  clock.ahead_ns.store(50'000'000);
  client.read_until(kDone);
  server.stop();
  const PacedTruthColumns truth = server.truth();
  CHECK_EQ(truth.arrival_kernel[0], 1);
  CHECK_EQ(truth.arrival_kernel[1], 0);
  CHECK_EQ(truth.t_arrival_ns[1], truth.t_read_ns[1]);
  // the first answer's stamp came after the last look at the clock before it was set: nothing says on which side
  CHECK_EQ(truth.t_first_on_wire_ns[0], kMissingNs);
  CHECK_EQ(truth.t_first_on_wire_ns[1], kMissingNs);
  CHECK_EQ(server.figures().n_clock_steps, 1);
}

void check_life_cycle() {
  PacedServer server(quick());
  CHECK(server.port() != 0);
  CHECK(!server.is_running());
  PacedOptions taken = quick();
  taken.port = server.port();
  CHECK_THROWS(PacedServer(taken), std::system_error);
  PacedOptions wrong = quick();
  wrong.tokens_per_event = -1;
  CHECK_THROWS(PacedServer(wrong), std::invalid_argument);
  server.start();
  CHECK(server.is_running());
  CHECK_THROWS(server.start(), std::logic_error);
  Client client(server.port());
  client.send_all(stream_request(100'000));
  client.read_until("w0000");
  server.stop();  // with a stream under way
  server.stop();
  CHECK(!server.is_running());
  CHECK_THROWS(server.start(), std::logic_error);
  CHECK(!client.read_to_end().ends_with(kDone));
}

}  // namespace

int main() {
  check_stream_and_truth();
  check_pipelining();
  check_bytes_one_by_one();
  check_slow_reader();
  check_vanished_clients();
  check_reading_the_truth_meanwhile();
  check_stepped_wall_clock();
  check_life_cycle();
  return 0;
}
