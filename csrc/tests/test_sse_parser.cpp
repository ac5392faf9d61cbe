#include <string>
#include <vector>

#include "check.h"
#include "live_bytes.h"
#include "tokenclock/sse_parser.h"

using namespace tokenclock;

namespace {

// Events as "type|data" lines, from pieces that each lie in memory of their own size.
std::string receive(const std::vector<std::string_view>& pieces) {
  SseParser parser;
  std::string out;
  SseEvent event;
  const auto add = [&] { out += std::string(event.type) + "|" + std::string(event.data) + ";"; };
  for (const std::string_view piece : pieces) {
    const std::vector<char> memory(piece.begin(), piece.end());
    std::string_view input(memory.data(), memory.size());
    while (parser.next(input, event)) add();
    CHECK(input.empty());
  }
  if (parser.finish(event)) add();
  CHECK(!parser.finish(event));
  return parser.too_large() ? out + "too large" : out;
}

// The events of the bytes, which must not depend on where reads cut them: whole, byte by byte, at every split in two.
std::string events(std::string_view text) {
  const std::string whole = receive({text});
  std::vector<std::string_view> bytes;
  for (std::size_t i = 0; i < text.size(); ++i) bytes.push_back(text.substr(i, 1));
  CHECK_EQ(receive(bytes), whole);
  for (std::size_t cut = 0; cut <= text.size(); ++cut)
    CHECK_EQ(receive({text.substr(0, cut), text.substr(cut)}), whole);
  return whole;
}

void test_line_ends() {
  for (const char* end : {"\n", "\r", "\r\n"}) {
    const std::string eol = end;
    CHECK_EQ(events("data: a" + eol + eol + "data: b" + eol + eol), "|a;|b;");
    CHECK_EQ(events("data: a" + eol + "data: b" + eol + eol), "|a\nb;");
    CHECK_EQ(events(eol + eol + "data: a" + eol + eol + eol + eol + "data: b" + eol + eol), "|a;|b;");
  }
  CHECK_EQ(events("data: a\r\n\ndata: b\n\r\ndata: c\r\rdata: d\n\r"), "|a;|b;|c;|d;");
}

void test_fields() {
  CHECK_EQ(events("data:a\n\n"), "|a;");
  CHECK_EQ(events("data:  a \n\n"), "| a ;");
  CHECK_EQ(events("data:\ta\n\n"), "|\ta;");
  CHECK_EQ(events("data: a: b\n\n"), "|a: b;");
  CHECK_EQ(events("event: error\ndata: a\n\n"), "error|a;");
  CHECK_EQ(events("data: a\nevent: x\nevent:y\n\ndata: b\n\n"), "y|a;|b;");
  CHECK_EQ(events("event: x\nevent\ndata: b\n\n"), "|b;");
  CHECK_EQ(events("event: x\n\ndata: b\n\n"), "|b;");  // no data: no event, and its type is forgotten
  CHECK_EQ(events("id: 7\nretry: 1000\nfoo: bar\nfoo\ndata: a\n\n"), "|a;");
  CHECK_EQ(events("id: 7\n\n"), "");
  CHECK_EQ(events(": ping\n\n:\n:data: x\n\ndata: a\n: in between\ndata: b\n\n"), "|a\nb;");
  CHECK_EQ(events("Data: a\n\ndatum: b\n\n data: c\n\ndata : d\n\n"), "");
  CHECK_EQ(events("data: [DONE]\n\n"), "|[DONE];");
}

void test_empty_data() {
  CHECK_EQ(events("data\n\n"), "|;");
  CHECK_EQ(events("data:\n\n"), "|;");
  CHECK_EQ(events("data: \n\n"), "|;");
  CHECK_EQ(events("data\ndata\n\n"), "|\n;");
  CHECK_EQ(events("data:\ndata: a\ndata:\n\n"), "|\na\n;");
  CHECK_EQ(events(""), "");
  CHECK_EQ(events("\n"), "");
}

void test_byte_order_mark() {
  CHECK_EQ(events("\xEF\xBB\xBF"
                  "data: a\n\n"),
           "|a;");
  CHECK_EQ(events("\xEF\xBB\xBF\xEF\xBB\xBF"
                  "data: a\n\ndata: b\n\n"),
           "|b;");  // only one is skipped
  CHECK_EQ(events("data: a\n\n\xEF\xBB\xBF"
                  "data: b\n\n"),
           "|a;");  // and only at the start
  CHECK_EQ(events("\xEF\xBB"
                  "data: a\n\ndata: b\n\n"),
           "|b;");
  CHECK_EQ(events("\xEF\xBB\xBF"), "");
  CHECK_EQ(events("\xEF"), "");
}

void test_end_of_stream() {
  CHECK_EQ(events("data: a\n\ndata: b\n"), "|a;|b;");
  CHECK_EQ(events("data: a\n\ndata: b"), "|a;|b;");
  CHECK_EQ(events("data: a\r"), "|a;");
  CHECK_EQ(events("event: x\ndata: a\ndata: b"), "x|a\nb;");
  CHECK_EQ(events("event: x\n"), "");
  CHECK_EQ(events("dat"), "");
}

void test_any_bytes() {
  using namespace std::string_view_literals;
  CHECK_EQ(events("data: \0\xff\n\n"sv), std::string("|\0\xff;", 4));
  CHECK_EQ(events("\0\xff\n\ndata: a\n\n"sv), "|a;");
}

// A whole event costs no copy; its views are the caller's own memory.
void test_no_copy() {
  const std::string text = "event: message\ndata: hello\n\n";
  const std::size_t n_before = n_allocations;
  SseParser parser;
  std::string_view input = text;
  SseEvent event;
  CHECK(parser.next(input, event));
  CHECK(event.data.data() == text.data() + text.find("hello"));
  CHECK(event.type.data() == text.data() + text.find("message"));
  CHECK(!parser.next(input, event));
  CHECK_EQ(n_allocations, n_before);
}

void test_memory_is_given_back() {
  const std::string half = "event: " + std::string(100, 't') + "\ndata: " + std::string(1000, 'x');
  const std::string large = "data: " + std::string(100000, 'x');
  const std::size_t before = live_bytes;
  SseParser parser;
  SseEvent event;
  std::string_view input = half;
  CHECK(!parser.next(input, event));
  CHECK(live_bytes >= before + 1100);
  parser.reset();
  CHECK_EQ(live_bytes, before);

  input = large;
  CHECK(!parser.next(input, event));
  input = "\n\n";
  CHECK(parser.next(input, event));
  CHECK(live_bytes >= before + 100000);
  CHECK(!parser.next(input, event));  // the event is no longer needed
  CHECK(live_bytes < before + 10000);
}

void test_reset() {
  SseParser parser;
  SseEvent event;
  std::string_view input = "event: x\ndata: half";
  CHECK(!parser.next(input, event));
  parser.reset();
  input =
      "\xEF\xBB\xBF"
      "data: a\n\n";
  CHECK(parser.next(input, event));
  CHECK_EQ(event.data, "a");
  CHECK_EQ(event.type, "");
}

// A parser may be moved between events, as a vector of connections does.
void test_move() {
  SseParser parser;
  SseEvent event;
  std::string_view input = "event: x\ndata: ab";
  CHECK(!parser.next(input, event));
  SseParser moved = std::move(parser);
  input = "c\ndata: d\n\n";
  CHECK(moved.next(input, event));
  CHECK_EQ(event.data, "abc\nd");
  CHECK_EQ(event.type, "x");
}

void test_limit() {
  const std::size_t limit = SseParser::kMaxEventBytes;
  const auto receive_in = [](const std::string& text, std::size_t size) {
    std::vector<std::string_view> pieces;
    for (std::size_t i = 0; i < text.size(); i += size) pieces.push_back(std::string_view(text).substr(i, size));
    return receive(pieces);
  };
  const std::string fits = "data:" + std::string(limit - 5, 'x') + "\n\n";
  const std::string line_too_long = "data:" + std::string(limit - 4, 'x') + "\n\ndata: never\n\n";
  const std::string comment_too_long = ":" + std::string(limit, 'x') + "\n\n";
  std::string joined_too_long;
  for (std::size_t i = 0; i <= limit / 65536; ++i) joined_too_long += "data:" + std::string(65536, 'x') + "\n";
  for (const std::size_t size : {std::size_t{1} << 26, std::size_t{65536}, std::size_t{1000003}}) {
    CHECK_EQ(receive_in(fits, size).size(), limit - 5 + 2);
    CHECK_EQ(receive_in("data: a\n\n" + line_too_long, size), "|a;too large");
    CHECK_EQ(receive_in(comment_too_long, size), "too large");
    CHECK_EQ(receive_in(joined_too_long + "\n", size), "too large");
  }
  SseParser parser;
  SseEvent event;
  std::string_view input = line_too_long;
  CHECK(!parser.next(input, event));
  CHECK(parser.too_large());
  input = "data: a\n\n";
  CHECK(!parser.next(input, event));
  parser.reset();
  CHECK(!parser.too_large());
  input = "data: a\n\n";
  CHECK(parser.next(input, event));
}

}  // namespace

int main() {
  test_line_ends();
  test_fields();
  test_empty_data();
  test_byte_order_mark();
  test_end_of_stream();
  test_any_bytes();
  test_no_copy();
  test_memory_is_given_back();
  test_reset();
  test_move();
  test_limit();
  return 0;
}
