#include <string>
#include <vector>

#include "check.h"
#include "live_bytes.h"
#include "tokenclock/http_parser.h"

using namespace tokenclock;
using Step = HttpResponseParser::Step;

namespace {

// Everything a client can see of one connection's bytes, in a form to compare.
struct Outcome {
  std::string log;  // per message: status, flags, body, how it ended
  std::string error;

  bool operator==(const Outcome&) const = default;
};

// Feeds the pieces, each from memory of its own size so that a sanitizer sees any read past it; then the peer closes.
Outcome receive(const std::vector<std::string_view>& pieces) {
  HttpResponseParser parser;
  Outcome out;
  std::string body;
  const auto end_message = [&] {
    out.log += std::to_string(parser.status()) + (parser.is_event_stream() ? " sse" : "") +
               (parser.keep_alive() ? " keep" : " close") + " [" + body + "]\n";
    body.clear();
    parser.reset();
  };
  for (const std::string_view piece : pieces) {
    const std::vector<char> memory(piece.begin(), piece.end());
    std::string_view input(memory.data(), memory.size());
    for (bool goes_on = true; goes_on;) {
      switch (parser.next(input)) {
        case Step::need_more:
          CHECK(input.empty());
          goes_on = false;
          break;
        case Step::headers:
          CHECK(parser.started());
          CHECK(parser.status() >= 200);
          break;
        case Step::body:
          CHECK(!parser.body().empty());
          body += parser.body();
          break;
        case Step::complete:
          CHECK(parser.next(input) == Step::complete);  // and says so until reset()
          end_message();
          goes_on = !input.empty();
          break;
        case Step::error:
          out.error = parser.error();
          CHECK(!out.error.empty());
          CHECK(!parser.keep_alive());
          CHECK(parser.next(input) == Step::error);
          CHECK(parser.end_of_stream() == Step::error);
          return out;
      }
    }
  }
  if (!parser.started()) return out;
  if (parser.end_of_stream() == Step::complete) {
    end_message();
  } else {
    out.error = parser.error();
  }
  return out;
}

// The outcome of the bytes, which must not depend on where reads cut them: whole, byte by byte, at every split in two.
Outcome outcome(std::string_view text) {
  const Outcome whole = receive({text});
  std::vector<std::string_view> bytes;
  for (std::size_t i = 0; i < text.size(); ++i) bytes.push_back(text.substr(i, 1));
  CHECK(receive(bytes) == whole);
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    if (!(receive({text.substr(0, cut), text.substr(cut)}) == whole)) std::cerr << "cut at " << cut << '\n';
    CHECK(receive({text.substr(0, cut), text.substr(cut)}) == whole);
  }
  return whole;
}

void expect(std::string_view text, std::string_view log) {
  const Outcome got = outcome(text);
  CHECK_EQ(got.error, "");
  CHECK_EQ(got.log, log);
}

void expect_error(std::string_view text, std::string_view part_of_message) {
  const Outcome got = outcome(text);
  if (got.error.find(part_of_message) == std::string::npos) {
    std::cerr << text << "\n-> error '" << got.error << "', log '" << got.log << "'\n";
  }
  CHECK(got.error.find(part_of_message) != std::string::npos);
}

const std::string kOk = "HTTP/1.1 200 OK\r\n";

void test_lengths() {
  expect(kOk + "Content-Length: 5\r\n\r\nhello", "200 keep [hello]\n");
  expect(kOk + "content-LENGTH:5 \t\r\n\r\nhello", "200 keep [hello]\n");
  expect(kOk + "Content-Length: 0\r\n\r\n", "200 keep []\n");
  expect(kOk + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "200 keep [hello]\n");
  expect(kOk + "Content-Length: 5, 5\r\n\r\nhello", "200 keep [hello]\n");
  expect(kOk + "Content-Length:\r\n 5\r\n\r\nhello", "200 keep [hello]\n");  // folded
  expect_error(kOk + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "disagree");
  expect_error(kOk + "Content-Length: 5, 6\r\n\r\nhello", "disagree");
  for (const char* bad : {"", "-1", "+5", "5x", "0x5", "5 5", "5,", "9223372036854775808", "99999999999999999999999"}) {
    expect_error(kOk + "Content-Length: " + bad + "\r\n\r\nhello", "Content-Length");
  }
  expect_error(kOk + "Content-Length: 6\r\n\r\nhello", "truncated body");
}

void test_until_close() {
  expect(kOk + "\r\nall there is", "200 close [all there is]\n");
  expect(kOk + "\r\n", "200 close []\n");
  expect("HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: x\n\n", "200 sse close [data: x\n\n]\n");
  expect(kOk + "Transfer-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabcdef", "200 close [abcdef]\n");
}

void test_chunks() {
  const std::string head = kOk + "Transfer-Encoding: chunked\r\n\r\n";
  expect(head + "5\r\nhello\r\n0\r\n\r\n", "200 keep [hello]\n");
  expect(head + "0\r\n\r\n", "200 keep []\n");
  expect(head + "3\r\nabc\r\nA\r\n0123456789\r\n00000b\r\nABCDEFGHIJK\r\n000\r\n\r\n",
         "200 keep [abc0123456789ABCDEFGHIJK]\n");
  expect(head + "3;name=value;q=\"a;b\"\r\nabc\r\n2 ; x\r\nde\r\n1  \r\nf\r\n0;last\r\n\r\n", "200 keep [abcdef]\n");
  expect(head + "3\r\nabc\r\n0\r\nServer-Timing: total\r\nX: y\r\n\r\n", "200 keep [abc]\n");
  expect(head + "3\nabc\n0\nX: y\n\n", "200 keep [abc]\n");  // LF alone
  expect(kOk + "Transfer-Encoding: gzip, Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "200 keep [abc]\n");
  expect(kOk + "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
         "200 keep [abc]\n");
  expect(kOk + "Transfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc", "200 keep [abc]\n");
  // the length is not believed, and nor is the connection
  expect(kOk + "Content-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "200 close [abc]\n");
  expect_error(kOk + "Transfer-Encoding: chunked, gzip\r\n\r\n", "after chunked");
  expect_error(kOk + "Transfer-Encoding: chunked, chunked\r\n\r\n", "after chunked");

  for (const char* bad : {"x\r\n", "\r\n", "-3\r\nabc\r\n", "0x3\r\nabc\r\n", " 3\r\nabc\r\n", "3.\r\nabc\r\n"}) {
    expect_error(head + bad, "hexadecimal");
  }
  expect_error(head + "12345678901234567\r\n", "out of range");
  expect_error(head + "3\rabc\r\n", "expected LF");
  expect_error(head + "3;x\rabc\r\n", "expected LF");
  expect_error(head + "3\r\nabc\rx", "expected LF");
  expect_error(head + "3\r\nabcd\r\n0\r\n\r\n", "longer than its size");
  for (const char* cut :
       {"", "3", "3\r\n", "3\r\nab", "3\r\nabc", "3\r\nabc\r\n", "0\r\n", "0\r\nX: y\r\n", "0\r\n\r"}) {
    expect_error(head + cut, "truncated body");
  }
}

void test_bodyless() {
  expect("HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n", "204 keep []\n");
  expect("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", "304 keep []\n");
  expect("HTTP/1.1 204\r\n\r\n" + kOk + "Content-Length: 1\r\n\r\nx", "204 keep []\n200 keep [x]\n");
}

void test_interim() {
  expect("HTTP/1.1 100 Continue\r\n\r\n" + kOk + "Content-Length: 2\r\n\r\nok", "200 keep [ok]\n");
  expect("HTTP/1.1 100\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\nContent-Length: 9\r\n\r\n" + kOk +
             "Content-Length: 2\r\n\r\nok",
         "200 keep [ok]\n");
  expect_error("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "101");
  expect_error("HTTP/1.1 100 Continue\r\n\r\n", "truncated header");
}

void test_keep_alive() {
  const auto with = [](const char* version, const char* lines) {
    return std::string("HTTP/") + version + " 200 OK\r\nContent-Length: 1\r\n" + lines + "\r\nx";
  };
  expect(with("1.1", ""), "200 keep [x]\n");
  expect(with("1.1", "Connection: close\r\n"), "200 close [x]\n");
  expect(with("1.1", "Connection: Foo , CLOSE\r\n"), "200 close [x]\n");
  expect(with("1.1", "Connection: foo\r\nConnection: close\r\n"), "200 close [x]\n");
  expect(with("1.1", "Connection: keep-alive, close\r\n"), "200 close [x]\n");
  expect(with("1.1", "Connection: closed\r\n"), "200 keep [x]\n");
  expect(with("1.0", ""), "200 close [x]\n");
  expect(with("1.0", "Connection: Keep-Alive\r\n"), "200 keep [x]\n");
  expect(with("1.2", ""), "200 keep [x]\n");
}

void test_several_messages() {
  const std::string one = kOk + "Content-Length: 1\r\n\r\na";
  const std::string two = "HTTP/1.1 500 Internal Server Error\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nb\r\n0\r\n\r\n";
  expect(one + two + one, "200 keep [a]\n500 keep [b]\n200 keep [a]\n");
  expect(one + "\r\n\n" + two, "200 keep [a]\n500 keep [b]\n");  // blank lines between messages
  const Outcome garbage = outcome(one + "x");
  CHECK_EQ(garbage.log, "200 keep [a]\n");
  CHECK(garbage.error.find("not an HTTP/1.x response") != std::string::npos);
}

void test_header_lines() {
  const std::string end = "Content-Length: 1\r\n\r\nx";
  expect("HTTP/1.1 200 \r\n" + end, "200 keep [x]\n");
  expect("HTTP/1.1 200\r\n" + end, "200 keep [x]\n");
  expect("HTTP/1.1 200 R\xc3\xa9ponse: \x80\r\n" + end, "200 keep [x]\n");
  expect("HTTP/1.1 200 OK\nContent-Length: 1\n\nx", "200 keep [x]\n");  // LF alone
  expect("HTTP/1.1 200 OK\r\nContent-Length: 1\n\r\nx", "200 keep [x]\n");
  expect(kOk + "X:\r\nY: a\r\n b\r\n\tc: d\r\n" + end, "200 keep [x]\n");
  expect(kOk + "Content-Type: TEXT/Event-Stream ; charset=utf-8\r\n" + end, "200 sse keep [x]\n");
  expect(kOk + "Content-Type: text/event-stream\r\n" + end, "200 sse keep [x]\n");
  expect(kOk + "Content-Type: text/event-streams\r\n" + end, "200 keep [x]\n");
  expect(kOk + "Content-Type: application/json\r\n" + end, "200 keep [x]\n");
  for (const char* bad : {"no colon\r\n", ": x\r\n", "A b: c\r\n", "A : c\r\n", "A\x80: c\r\n", "(A): c\r\n"}) {
    expect_error(kOk + bad + end, "malformed header line");
  }
  expect_error(kOk + "A: b\rc\r\n" + end, "bare CR");
  expect_error(kOk + std::string("A: \0\r\n", 6) + end, "NUL");
  expect_error(kOk + " A: b\r\n" + end, "malformed status line");  // nothing to fold into but the status line
  for (const char* bad : {"HTTP/1.1 20 OK", "HTTP/1.1 2000 OK", "HTTP/1.1 abc OK", "HTTP/1.1  200 OK", "HTTP/1.1 099 X",
                          "HTTP/1.1200 OK", "HTTP/1. 200 OK", "HTTP/1.x 200 OK", "HTTP/1.1", "HTTP/1.1 200\tOK"}) {
    expect_error(std::string(bad) + "\r\n\r\n", "malformed status line");
  }
  for (const char* bad :
       {"HTTP/2 200\r\n\r\n", "http/1.1 200 OK\r\n\r\n", "SSH-2.0-x", "ICY 200 OK\r\n\r\n", " HTTP/1.1"}) {
    expect_error(bad, "not an HTTP/1.x response");
  }
  expect_error("HTTP/1.1 200 OK\r\nContent-", "truncated header");
  expect("", "");
}

// Fed in pieces, not at every split: these are long.
void expect_in_pieces(const std::string& text, std::string_view log, std::string_view part_of_message) {
  for (const std::size_t size : {text.size(), std::size_t{1}, std::size_t{7}, std::size_t{4096}}) {
    std::vector<std::string_view> pieces;
    for (std::size_t i = 0; i < text.size(); i += size) pieces.push_back(std::string_view(text).substr(i, size));
    const Outcome got = receive(pieces);
    CHECK_EQ(got.log, log);
    CHECK(part_of_message.empty() ? got.error.empty() : got.error.find(part_of_message) != std::string::npos);
  }
}

void test_limits() {
  const std::size_t limit = HttpResponseParser::kMaxHeaderBytes;
  const auto padded = [&](std::size_t size) {
    const std::string front = kOk + "Content-Length: 1\r\nX: ";
    return front + std::string(size - front.size() - 4, 'x') + "\r\n\r\n";
  };
  CHECK_EQ(padded(1000).size(), 1000u);
  expect_in_pieces(padded(limit) + "x", "200 keep [x]\n", "");
  expect_in_pieces(padded(limit + 1) + "x", "", "64 KiB");
  expect_in_pieces(kOk + "X: " + std::string(3 * limit, 'x'), "", "64 KiB");
  std::string endless;
  while (endless.size() <= limit) endless += "HTTP/1.1 100 Continue\r\n\r\n";
  expect_in_pieces(endless, "", "64 KiB");
  expect_in_pieces(std::string(limit + 1, '\n'), "", "blank lines");
  const std::string head = kOk + "Transfer-Encoding: chunked\r\n\r\n";
  expect_in_pieces(head + "1;" + std::string(limit, 'x'), "", "extension");
  expect_in_pieces(head + "0\r\nX: " + std::string(limit, 'x'), "", "trailers");
}

void test_started_and_reset() {
  HttpResponseParser parser;
  CHECK(!parser.started());
  CHECK(parser.end_of_stream() == Step::error);
  CHECK(std::string(parser.error()).find("before any response byte") != std::string::npos);
  parser.reset();
  std::string_view input = "\r\n";
  CHECK(parser.next(input) == Step::need_more);
  CHECK(!parser.started());
  input = "H";
  CHECK(parser.next(input) == Step::need_more);
  CHECK(parser.started());
  parser.reset();
  CHECK(!parser.started());
  input = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
  CHECK(parser.next(input) == Step::headers);
  CHECK_EQ(parser.status(), 404);
  CHECK(parser.next(input) == Step::complete);
}

// A body span is the caller's own memory, and what comes in one piece is never copied.
void test_no_copy() {
  const std::string text = kOk + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
  const std::size_t n_before = n_allocations;
  HttpResponseParser parser;
  std::string_view input = text;
  CHECK(parser.next(input) == Step::headers);
  CHECK(parser.next(input) == Step::body);
  CHECK(parser.body().data() == text.data() + text.find("hello"));
  CHECK(parser.next(input) == Step::complete);
  CHECK_EQ(n_allocations, n_before);
}

void test_memory_is_given_back() {
  const std::string half = kOk + "X: " + std::string(1000, 'x');
  const std::size_t before = live_bytes;
  HttpResponseParser parser;
  for (const bool resets : {true, false}) {
    std::string_view input = half;
    CHECK(parser.next(input) == Step::need_more);
    CHECK(live_bytes >= before + half.size());
    input = "\r\nContent-Length: 1\r\n\r\n";
    if (resets) {
      parser.reset();
    } else {
      CHECK(parser.next(input) == Step::headers);
    }
    CHECK_EQ(live_bytes, before);
  }
}

}  // namespace

int main() {
  test_lengths();
  test_until_close();
  test_chunks();
  test_bodyless();
  test_interim();
  test_keep_alive();
  test_several_messages();
  test_header_lines();
  test_limits();
  test_started_and_reset();
  test_no_copy();
  test_memory_is_given_back();
  return 0;
}
