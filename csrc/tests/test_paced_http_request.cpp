// The request parser: every vector whole, byte by byte, and at every two-way split, with the same outcome.
#include <string>
#include <string_view>
#include <vector>

#include "check.h"
#include "tokenclock/paced_http_request.h"

namespace {

using tokenclock::HttpRequestParser;
using Step = HttpRequestParser::Step;

// What a run of the parser over some pieces came to, as one line of text.
std::string outcome(const std::vector<std::string_view>& pieces) {
  HttpRequestParser parser;
  std::string out;
  for (std::string_view piece : pieces) {
    bool more = true;
    while (more) {
      switch (parser.next(piece)) {
        case Step::need_more:
          CHECK(piece.empty());
          more = false;
          break;
        case Step::continue_wanted:
          out += "continue;";
          break;
        case Step::complete:
          out += parser.method() + ' ' + parser.path() + (parser.keep_alive() ? " keep" : " close") + " [" +
                 parser.authorization() + "] <" + parser.body() + ">;";
          parser.reset();
          break;
        case Step::error:
          return out + "error " + std::to_string(parser.error_status()) + (parser.is_http_1_0() ? " 1.0" : "");
      }
    }
  }
  return out + (parser.started() ? "more" : "idle");
}

void check_everywhere(std::string_view bytes, std::string_view expected) {
  CHECK_EQ(outcome({bytes}), expected);
  std::vector<std::string_view> single;
  single.reserve(bytes.size());
  for (std::size_t i = 0; i < bytes.size(); ++i) single.push_back(bytes.substr(i, 1));
  CHECK_EQ(outcome(single), expected);
  for (std::size_t at = 0; at <= bytes.size(); ++at) {
    CHECK_EQ(outcome({bytes.substr(0, at), bytes.substr(at)}), expected);
  }
}

}  // namespace

int main() {
  // bodies and their lengths
  check_everywhere("GET /health HTTP/1.1\r\nHost: a\r\n\r\n", "GET /health keep [] <>;idle");
  check_everywhere("POST /v1/completions HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
                   "POST /v1/completions keep [] <hello>;idle");
  check_everywhere("POST /a HTTP/1.1\r\ncontent-length:0\r\n\r\n", "POST /a keep [] <>;idle");
  check_everywhere("POST /a HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab", "POST /a keep [] <ab>;idle");
  check_everywhere("POST /a HTTP/1.1\nContent-Length: 2\n\nab", "POST /a keep [] <ab>;idle");
  check_everywhere(
      "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=1\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: "
      "t\r\n\r\n",
      "POST /a keep [] <abc0123456789>;idle");
  check_everywhere("POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab",
                   "continue;POST /a keep [] <ab>;idle");
  // several in one go, blank lines before, targets with queries and authorities
  check_everywhere("\r\n\r\nGET /a?b=c HTTP/1.1\r\n\r\nGET http://h:1/d HTTP/1.1\r\n\r\nGET /e HT",
                   "GET /a keep [] <>;GET /d keep [] <>;more");
  // what becomes of the connection, and who asks
  check_everywhere("GET /a HTTP/1.0\r\n\r\n", "GET /a close [] <>;idle");
  check_everywhere("GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET /a keep [] <>;idle");
  check_everywhere("GET /a HTTP/1.1\r\nConnection: x, Close\r\n\r\n", "GET /a close [] <>;idle");
  check_everywhere("GET /a HTTP/1.1\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n", "GET /a close [] <>;idle");
  check_everywhere("GET /a HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", "GET /a close [] <>;idle");
  check_everywhere("GET /a HTTP/1.1\r\nAUTHORIZATION:  Bearer k \r\n\r\n", "GET /a keep [Bearer k] <>;idle");
  // unfinished
  check_everywhere("", "idle");
  check_everywhere("POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nhel", "more");
  check_everywhere("POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", "more");
  // refused
  check_everywhere("hello\r\n", "error 400");
  check_everywhere("GET /a b HTTP/1.1\r\n", "error 400");
  check_everywhere("GET /a SPDY/1\r\n", "error 400");
  check_everywhere("GET /a HTTP/2.0\r\n", "error 505");
  check_everywhere("GET /a HTTP/1.1\r\nno colon\r\n", "error 400");
  check_everywhere("GET /a HTTP/1.1\r\nname : v\r\n", "error 400");
  check_everywhere("GET /a HTTP/1.1\r\n: v\r\n", "error 400");
  check_everywhere("POST /a HTTP/1.1\r\nContent-Length: -1\r\n", "error 400");
  check_everywhere("POST /a HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n", "error 400");
  check_everywhere("POST /a HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n", "error 400");
  check_everywhere("POST /a HTTP/1.1\r\nContent-Length: 99999999999\r\n", "error 413");
  check_everywhere("POST /a HTTP/1.1\r\nTransfer-Encoding: gzip\r\n", "error 501");
  check_everywhere("POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", "error 400");
  check_everywhere("POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "error 400");
  check_everywhere("POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", "error 400");
  check_everywhere("POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n", "error 400");
  check_everywhere("POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n", "error 413");
  // nothing of the request before is left
  check_everywhere("GET /a HTTP/1.0\r\n\r\nhello\r\n", "GET /a close [] <>;error 400");

  // limits
  const std::string long_line = "GET /a HTTP/1.1\r\nX: " + std::string(HttpRequestParser::kMaxHeadBytes, 'x');
  CHECK_EQ(outcome({long_line}), "error 431");
  const std::string many_lines = [] {
    std::string head = "GET /a HTTP/1.1\r\n";
    while (head.size() <= HttpRequestParser::kMaxHeadBytes) head += "Name: value\r\n";
    return head;
  }();
  CHECK_EQ(outcome({many_lines}), "error 431");
  // many small chunks are no long head
  std::string chunked = "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 20'000; ++i) chunked += "1\r\nx\r\n";
  CHECK_EQ(outcome({chunked + "0\r\n\r\n"}), "POST /a keep [] <" + std::string(20'000, 'x') + ">;idle");
  return 0;
}
