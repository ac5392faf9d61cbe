// TLS without a socket: two sessions that hand each other their bytes, whole, one by one, and at every split.
#include <algorithm>
#include <functional>
#include <stdexcept>

#include "../src/libssl.h"
#include "check.h"
#include "tls_files.h"
#include "tokenclock/tls.h"

using namespace tokenclock;
using State = TlsSession::State;

namespace {

struct Pair {
  TlsSession client;
  TlsSession server;
  std::vector<char> scratch;
  std::string at_client;
  std::string at_server;
  std::string last_wire;  // what was last carried

  Pair(const TlsContext& client_context, const TlsContext& server_context)
      : client(client_context), server(server_context) {
    client.start();
  }
  // Carries what one side has to say, in pieces that end where `cut` says; false when it had nothing to say.
  bool carry(TlsSession& from, TlsSession& to, std::string& heard, const std::vector<std::size_t>& cuts) {
    last_wire = std::string(from.unsent());
    from.sent(last_wire.size());
    std::size_t begin = 0;
    for (const std::size_t cut : cuts) {
      const std::size_t end = std::min(cut, last_wire.size());
      if (end > begin) heard += to.receive(std::string_view(last_wire).substr(begin, end - begin), scratch);
      begin = std::max(begin, end);
    }
    if (begin < last_wire.size()) heard += to.receive(std::string_view(last_wire).substr(begin), scratch);
    return !last_wire.empty();
  }
  bool to_server(const std::vector<std::size_t>& cuts = {}) { return carry(client, server, at_server, cuts); }
  bool to_client(const std::vector<std::size_t>& cuts = {}) { return carry(server, client, at_client, cuts); }
  void settle() {
    bool more = true;
    while (more) {
      more = to_server();
      more = to_client() || more;
    }
  }
};

std::string pattern(std::size_t n) {
  std::string text(n, ' ');
  for (std::size_t i = 0; i < n; ++i) text[i] = static_cast<char>('a' + i * 7 % 26);
  return text;
}

void a_session_carries_bytes_both_ways(const TlsContext& client, const TlsContext& server) {
  Pair pair(client, server);
  CHECK(pair.client.state() == State::handshake);
  pair.settle();
  CHECK(pair.client.state() == State::open && pair.server.state() == State::open);
  CHECK(pair.client.description().starts_with("TLSv1."));
  CHECK_EQ(std::string(pair.client.protocol()), "http/1.1");
  CHECK_EQ(std::string(pair.server.protocol()), "http/1.1");
  const std::string large = pattern(300'000);  // many records
  pair.client.send("request");
  pair.server.send(large);
  pair.settle();
  CHECK_EQ(pair.at_server, "request");
  CHECK(pair.at_client == large);
  CHECK(pair.client.unsent().empty() && pair.server.unsent().empty());
  pair.server.close();
  pair.settle();
  CHECK(pair.client.state() == State::closed);
  pair.client.close();
  pair.settle();
  CHECK(pair.server.state() == State::closed);
}

// Handshake flights and records, cut anywhere, say the same.
void every_split_of_every_flight(const TlsContext& client, const TlsContext& server) {
  std::vector<std::size_t> sizes;
  {
    Pair pair(client, server);
    while (pair.to_server() || pair.client.state() == State::handshake) {
      sizes.push_back(pair.last_wire.size());
      pair.to_client();
      sizes.push_back(pair.last_wire.size());
    }
  }
  CHECK(sizes.size() >= 4);
  for (std::size_t flight = 0; flight < 4; ++flight) {
    // signatures vary by a few bytes: cuts past the end do no harm
    for (std::size_t cut = 0; cut <= sizes[flight]; ++cut) {
      Pair pair(client, server);
      for (std::size_t step = 0; step < 4; ++step) {
        const std::vector<std::size_t> cuts =
            step == flight ? std::vector<std::size_t>{cut} : std::vector<std::size_t>{};
        static_cast<void>(step % 2 == 0 ? pair.to_server(cuts) : pair.to_client(cuts));
      }
      pair.settle();
      pair.server.send("data: 1\n\n");
      pair.settle();
      CHECK_EQ(pair.at_client, "data: 1\n\n");
    }
  }
}

void every_split_of_records(const TlsContext& client, const TlsContext& server) {
  Pair pair(client, server);
  pair.settle();
  const std::string event = "data: {\"choices\":[{\"text\":\"a\"}]}\n\n";
  for (std::size_t cut = 0; cut < 140; ++cut) {  // two records of some 57 bytes
    pair.at_client.clear();
    pair.server.send(event);
    pair.server.send(event);
    pair.to_client({cut});
    CHECK_EQ(pair.at_client, event + event);
    CHECK(pair.last_wire.size() < 140);
  }
  std::vector<std::size_t> every_byte(140);
  for (std::size_t i = 0; i < every_byte.size(); ++i) every_byte[i] = i;
  pair.at_client.clear();
  pair.server.send(event);
  pair.to_client(every_byte);
  CHECK_EQ(pair.at_client, event);
}

void data_and_the_end_may_come_together(const TlsContext& client, const TlsContext& server) {
  Pair pair(client, server);
  pair.settle();
  pair.server.send("last");
  pair.server.close();
  pair.to_client();
  CHECK_EQ(pair.at_client, "last");
  CHECK(pair.client.state() == State::closed);
}

void bytes_that_are_no_record_end_the_session(const TlsContext& client, const TlsContext& server) {
  {
    Pair pair(client, server);
    pair.client.receive("HTTP/1.1 400 Bad Request\r\n\r\n", pair.scratch);
    CHECK(pair.client.state() == State::failed);
    CHECK_EQ(pair.client.problem(), "the peer does not speak TLS");
  }
  Pair pair(client, server);
  pair.settle();
  pair.server.send("fine");
  std::string wire(pair.server.unsent());
  wire.back() = static_cast<char>(wire.back() ^ 1);
  CHECK(pair.client.receive(wire, pair.scratch).empty());
  CHECK(pair.client.state() == State::failed);
  CHECK(!pair.client.problem().empty());
  CHECK(pair.client.receive(wire, pair.scratch).empty());  // and stays so
  pair.client.send("x");
  pair.client.close();
  CHECK(pair.client.state() == State::failed);
}

std::string problem_of(const TlsContext& client, const TlsContext& server) {
  Pair pair(client, server);
  pair.settle();
  CHECK(pair.client.state() == State::failed);
  CHECK(pair.server.state() == State::failed);  // it was told
  return pair.client.problem();
}

void a_certificate_that_does_not_fit_is_named(const test::TlsFiles& files, const TlsContext& server) {
  const std::string trusted = files.certificate("localhost");
  CHECK_EQ(problem_of(*TlsContext::client({"localhost", true, files.certificate("other"), "", ""}), server),
           "the certificate is self-signed");
  CHECK_EQ(problem_of(*TlsContext::client({"wrong.example", true, trusted, "", ""}), server),
           "the certificate is for another host name");
  CHECK_EQ(problem_of(*TlsContext::client({"127.0.0.2", true, trusted, "", ""}), server),
           "the certificate is for another address");
  Pair by_address(*TlsContext::client({"127.0.0.1", true, trusted, "", ""}), server);
  by_address.settle();
  CHECK(by_address.client.state() == State::open);
  Pair unchecked(*TlsContext::client({"wrong.example", false, "", "", ""}), server);
  unchecked.settle();
  CHECK(unchecked.client.state() == State::open);
}

void a_server_may_ask_for_a_certificate(const test::TlsFiles& files) {
  const auto server =
      TlsContext::server({files.certificate("localhost"), files.key("localhost"), files.certificate("other")});
  const auto with = [&](const std::string& certificate, const std::string& key) {
    return TlsContext::client({"localhost", true, files.certificate("localhost"), certificate, key});
  };
  const auto other = with(files.certificate("other"), files.key("other"));
  Pair good(*other, *server);
  good.settle();
  CHECK(good.server.state() == State::open);
  const auto none = with("", "");
  CHECK_EQ(problem_of(*none, *server), "the peer asks for a certificate of ours");
  const auto wrong = with(files.certificate("localhost"), files.key("localhost"));
  CHECK(problem_of(*wrong, *server).starts_with("the peer refuses our certificate"));
}

std::string refusal(const std::function<void()>& make) {
  try {
    make();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

void files_that_cannot_be_used_are_named(const test::TlsFiles& files) {
  const std::string certificate = files.certificate("localhost");
  const auto client = [&](const std::string& host, const std::string& ca, const std::string& own,
                          const std::string& key) {
    return refusal([&] { static_cast<void>(TlsContext::client({host, true, ca, own, key})); });
  };
  CHECK_EQ(client("localhost", certificate, "", ""), "");
  CHECK(client("localhost", "/nowhere.pem", "", "").find("/nowhere.pem (No such file") != std::string::npos);
  CHECK(client("localhost", files.key("localhost"), "", "").find("cannot use the certificates in") == 0);
  CHECK(client("localhost", "", certificate, "").find("cannot use the private key in " + certificate) == 0);
  CHECK(client("localhost", "", certificate, files.key("other")).find("key values mismatch") != std::string::npos);
  CHECK(client("", "", "", "").find("expected a host name") == 0);
}

void without_a_library_one_line_says_what_to_install() {
  const ssl::Library missing = ssl::load_library("/nowhere/libssl.so.3");
  CHECK(missing.version.empty());
  CHECK(missing.problem.find("TOKENCLOCK_LIBSSL=/nowhere/libssl.so.3 cannot be loaded") == 0);
  const ssl::Library another = ssl::load_library("libm.so.6");
  CHECK(another.problem.find("libm.so.6 has no TLS_client_method") != std::string::npos);
  CHECK(missing.problem.find('\n') == std::string::npos);
}

}  // namespace

int main() {
  without_a_library_one_line_says_what_to_install();
  if (!tls_problem().empty() || !test::TlsFiles::can_be_made()) {
    std::printf("left out: needs libssl and the openssl program (%s)\n", tls_problem().c_str());
    return 77;
  }
  const test::TlsFiles files;
  const auto server = TlsContext::server({files.certificate("localhost"), files.key("localhost"), ""});
  const auto client = TlsContext::client({"localhost", true, files.certificate("localhost"), "", ""});
  a_session_carries_bytes_both_ways(*client, *server);
  every_split_of_every_flight(*client, *server);
  every_split_of_records(*client, *server);
  data_and_the_end_may_come_together(*client, *server);
  bytes_that_are_no_record_end_the_session(*client, *server);
  a_certificate_that_does_not_fit_is_named(files, *server);
  a_server_may_ask_for_a_certificate(files);
  files_that_cannot_be_used_are_named(files);
}
