// The load client against the paced server, both ours, over TLS and over Unix sockets.
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "check.h"
#include "scripted_server.h"
#include "tls_files.h"
#include "tokenclock/load_client.h"
#include "tokenclock/paced_server.h"

using namespace tokenclock;

namespace {

constexpr std::int64_t kMs = 1'000'000;

PacedOptions quick() {
  PacedOptions options;
  options.mode = PacedMode::independent;
  options.ttft.mean_ns = 5 * kMs;
  options.itl.mean_ns = 1 * kMs;
  return options;
}

LoadOptions closed_loop(const Address& address, std::size_t slots) {
  LoadOptions options;
  options.addresses = {address};
  options.request_head = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n";
  options.closed_loop = true;
  options.max_concurrency = slots;
  return options;
}

void run(LoadClient& client, int n, const std::string& body) {
  std::string arena;
  std::vector<std::int64_t> offsets{0};
  std::vector<std::int32_t> rows;
  for (int row = 0; row < n; ++row) {
    arena += body;
    offsets.push_back(static_cast<std::int64_t>(arena.size()));
    rows.push_back(row);
  }
  client.submit(arena, offsets, std::vector<std::int64_t>(rows.size(), 0), rows);
  client.close();
  client.start();
  CHECK(client.wait(60'000 * kMs));
}

const std::string kTenTokens = R"({"prompt":[1,2,3],"stream":true,"max_tokens":10})";

void all_rows_are_ok(const LoadClient& client, std::int32_t n_tokens) {
  const RequestColumns& columns = client.columns();
  for (std::size_t row = 0; row < columns.n_rows; ++row) {
    CHECK_EQ(int{columns.status[row]}, static_cast<int>(RequestStatus::ok));
    CHECK_EQ(columns.osl_events[row], n_tokens);
    CHECK(columns.t_sent_ns[row] <= columns.t_first_token_ns[row]);
  }
}

std::string error_of(const LoadClient& client, std::int32_t row) {
  return client.worker(0).recording().errors().at(row);
}

struct TlsPlace {
  test::TlsFiles files;
  PacedOptions server_options = quick();
  LoadOptions client_options;

  TlsPlace() {
    server_options.tls = TlsContext::server({files.certificate("localhost"), files.key("localhost"), ""});
    client_options.tls = TlsContext::client({"localhost", true, files.certificate("localhost"), "", ""});
  }
  [[nodiscard]] LoadOptions to(const PacedServer& server, std::size_t slots) const {
    LoadOptions options = closed_loop(parse_address("127.0.0.1", server.port()), slots);
    options.tls = client_options.tls;
    return options;
  }
};

void streams_arrive_and_connections_are_kept(const TlsPlace& place) {
  PacedServer server(place.server_options);
  server.start();
  LoadOptions options = place.to(server, 8);
  options.n_workers = 2;
  LoadClient client(options, 60);
  run(client, 60, kTenTokens);
  all_rows_are_ok(client, 10);
  const RequestColumns& columns = client.columns();
  std::size_t n_handshakes = 0;
  for (std::size_t row = 0; row < 60; ++row) {
    if (columns.t_tls_ns[row] == kMissingNs) continue;
    ++n_handshakes;
    CHECK(columns.t_connect_ns[row] <= columns.t_tls_ns[row]);
    CHECK(columns.t_tls_ns[row] < columns.t_sent_ns[row]);
  }
  CHECK(n_handshakes >= 1 && n_handshakes <= 8);
  CHECK(client.worker(0).facts().tls.starts_with("TLSv1."));
  if (client.kernel_stamps()) CHECK_EQ(client.worker(0).recording().counts.n_events_stepped, 0);
}

void a_large_request_goes_out_record_by_record(const TlsPlace& place) {
  PacedServer server(place.server_options);
  server.start();
  LoadClient client(place.to(server, 2), 4);
  run(client, 4, R"({"stream":true,"max_tokens":3,"prompt":")" + std::string(3'000'000, 'x') + "\"}");
  all_rows_are_ok(client, 3);
}

void a_connection_per_request_ends_tls_each_time(const TlsPlace& place) {
  PacedServer server(place.server_options);
  server.start();
  LoadOptions options = place.to(server, 3);
  options.keep_alive = false;
  LoadClient client(options, 12);
  run(client, 12, kTenTokens);
  all_rows_are_ok(client, 10);
  CHECK_EQ(client.worker(0).facts().n_connections, 12);
}

void a_cut_is_a_truncation_and_a_close_between_two_requests_none(const TlsPlace& place) {
  PacedOptions cutting = place.server_options;
  cutting.faults = {{FaultKind::cut, 0, 1.0}};
  PacedServer cut(cutting);
  cut.start();
  LoadClient half(place.to(cut, 1), 1);
  run(half, 1, kTenTokens);
  CHECK_EQ(int{half.columns().status[0]}, static_cast<int>(RequestStatus::truncated));
  CHECK_EQ(half.columns().osl_events[0], 5);
  CHECK_EQ(error_of(half, 0), "the server closed the connection without ending TLS");

  PacedOptions closing = place.server_options;
  closing.faults = {{FaultKind::close_idle, 3, 1.0}};
  PacedServer close(closing);
  close.start();
  LoadClient all(place.to(close, 1), 9);
  run(all, 9, kTenTokens);
  all_rows_are_ok(all, 10);
  CHECK_EQ(all.worker(0).facts().n_connections, 3);
}

void who_does_not_speak_tls_is_found_out(const TlsPlace& place) {
  test::ScriptedServer plain([](int fd, int, const std::string&) {
    return test::ScriptedServer::write(fd, "HTTP/1.1 400 Bad Request\r\n\r\n");
  });
  LoadOptions options = closed_loop(parse_address("127.0.0.1", plain.port()), 1);
  options.tls = place.client_options.tls;
  options.connect_timeout_ns = 200 * kMs;
  {
    LoadClient client(options, 1);  // which waits for a request that never comes
    run(client, 1, kTenTokens);
    CHECK_EQ(int{client.columns().status[0]}, static_cast<int>(RequestStatus::connect_error));
    CHECK_EQ(error_of(client, 0), "TLS: the handshake timed out");
    CHECK_EQ(client.columns().t_sent_ns[0], kMissingNs);
  }
  PacedServer ours(quick());
  ours.start();
  options.addresses = {parse_address("127.0.0.1", ours.port())};
  LoadClient client(options, 1);
  run(client, 1, kTenTokens);
  CHECK_EQ(int{client.columns().status[0]}, static_cast<int>(RequestStatus::connect_error));
  CHECK_EQ(error_of(client, 0), "TLS: the peer does not speak TLS");
}

void a_refused_certificate_is_told_for_each_row(const TlsPlace& place) {
  PacedServer server(place.server_options);
  server.start();
  LoadOptions options = place.to(server, 2);
  options.tls = TlsContext::client({"wrong.example", true, place.files.certificate("localhost"), "", ""});
  LoadClient client(options, 5);
  run(client, 5, kTenTokens);
  for (std::int32_t row = 0; row < 5; ++row) {
    CHECK_EQ(int{client.columns().status[static_cast<std::size_t>(row)]},
             static_cast<int>(RequestStatus::connect_error));
    CHECK_EQ(error_of(client, row), "TLS: the certificate is for another host name");
  }
}

void a_server_that_wants_a_certificate_says_so(const TlsPlace& place) {
  PacedOptions asking = place.server_options;
  asking.tls = TlsContext::server(
      {place.files.certificate("localhost"), place.files.key("localhost"), place.files.certificate("other")});
  PacedServer server(asking);
  server.start();
  LoadClient client(place.to(server, 1), 1);
  run(client, 1, kTenTokens);
  CHECK_EQ(int{client.columns().status[0]}, static_cast<int>(RequestStatus::connect_error));
  CHECK_EQ(error_of(client, 0), "TLS: the peer asks for a certificate of ours");
}

std::int64_t resident_bytes() {
  std::ifstream status("/proc/self/statm");
  std::int64_t n_pages = 0;
  std::int64_t n_resident = 0;
  status >> n_pages >> n_resident;
  return n_resident * ::sysconf(_SC_PAGESIZE);
}

// What a connection that waits holds: the memory of n pairs of sessions, both ends in this process.
void a_session_weighs_little(const TlsPlace& place) {
  constexpr std::size_t kPairs = 200;
  const auto& server_context = *place.server_options.tls;
  const auto& client_context = *place.client_options.tls;
  std::vector<std::unique_ptr<TlsSession>> sessions;
  std::vector<char> scratch;
  const std::string event(300, 'e');
  const auto add_pair = [&] {
    auto client = std::make_unique<TlsSession>(client_context);
    auto server = std::make_unique<TlsSession>(server_context);
    client->start();
    const auto carry = [&](TlsSession& from, TlsSession& to) {
      const std::string wire(from.unsent());
      from.sent(wire.size());
      to.receive(wire, scratch);
    };
    for (int flight = 0; flight < 4; ++flight) {
      carry(*client, *server);
      carry(*server, *client);
    }
    CHECK(client->state() == TlsSession::State::open);
    server->send(event);
    carry(*server, *client);
    sessions.push_back(std::move(client));
    sessions.push_back(std::move(server));
  };
  for (int i = 0; i < 20; ++i) add_pair();  // what is allocated once is there
  const std::int64_t before = resident_bytes();
  for (std::size_t i = 0; i < kPairs; ++i) add_pair();
  const std::int64_t per_session = (resident_bytes() - before) / static_cast<std::int64_t>(2 * kPairs);
  std::printf("a TLS session that waits holds %lld bytes\n", static_cast<long long>(per_session));
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  CHECK(per_session < 64 * 1024);
#endif
}

void over_a_unix_socket(const std::string& path, const TlsPlace* place) {
  PacedOptions server_options = quick();
  server_options.unix_socket = path;
  if (place != nullptr) server_options.tls = place->server_options.tls;
  {
    PacedServer server(server_options);
    CHECK_THROWS(PacedServer(server_options), std::system_error);  // one at a time
    server.start();
    LoadOptions options = closed_loop(parse_address(path, 0), 16);
    if (place != nullptr) options.tls = place->client_options.tls;
    LoadClient client(options, 64);
    run(client, 64, kTenTokens);
    all_rows_are_ok(client, 10);
    CHECK(client.is_unix() && !client.kernel_stamps());
    CHECK_EQ(client.worker(0).recording().counts.n_events_kernel, 0);
  }
  CHECK(::access(path.c_str(), F_OK) != 0);
}

// Five connections of room in the queue, and nobody accepts for a while.
void a_full_queue_of_a_unix_socket_is_waited_for(const std::string& path) {
  const Address address = parse_address(path, 0);
  const Socket listener = open_socket(address);
  CHECK(::bind(listener.fd(), reinterpret_cast<const sockaddr*>(&address.storage), address.length) == 0);
  CHECK(::listen(listener.fd(), 2) == 0);
  std::thread late([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    for (int n = 0; n < 12; ++n) {
      int fd = -1;
      while (fd < 0) fd = ::accept(listener.fd(), nullptr, nullptr);
      char request[4096];
      CHECK(::recv(fd, request, sizeof request, 0) > 0);
      test::ScriptedServer::write(fd, "HTTP/1.1 500 Broken\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
      ::close(fd);
    }
  });
  LoadClient client(closed_loop(address, 12), 12);
  run(client, 12, kTenTokens);
  late.join();
  for (std::size_t row = 0; row < 12; ++row)
    CHECK_EQ(int{client.columns().status[row]}, static_cast<int>(RequestStatus::http_error));
  ::unlink(path.c_str());
}

void nobody_at_a_unix_socket(const std::string& path) {
  LoadClient client(closed_loop(parse_address(path, 0), 1), 2);
  run(client, 2, kTenTokens);
  CHECK_EQ(int{client.columns().status[1]}, static_cast<int>(RequestStatus::connect_error));
  CHECK_EQ(error_of(client, 1), "connect: No such file or directory");
  CHECK_THROWS(parse_address("/" + std::string(200, 'x'), 0), std::invalid_argument);
}

}  // namespace

int main() {
  const std::string path =
      (std::filesystem::temp_directory_path() / ("tokenclock-" + std::to_string(::getpid()))).string();
  over_a_unix_socket(path, nullptr);
  a_full_queue_of_a_unix_socket_is_waited_for(path);
  nobody_at_a_unix_socket(path);
  if (!tls_problem().empty() || !test::TlsFiles::can_be_made()) {
    std::printf("left out: needs libssl and the openssl program (%s)\n", tls_problem().c_str());
    return 77;
  }
  const TlsPlace place;
  over_a_unix_socket(path, &place);
  streams_arrive_and_connections_are_kept(place);
  a_large_request_goes_out_record_by_record(place);
  a_connection_per_request_ends_tls_each_time(place);
  a_cut_is_a_truncation_and_a_close_between_two_requests_none(place);
  who_does_not_speak_tls_is_found_out(place);
  a_refused_certificate_is_told_for_each_row(place);
  a_server_that_wants_a_certificate_says_so(place);
  a_session_weighs_little(place);
}
