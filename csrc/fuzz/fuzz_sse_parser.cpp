// Events: the same whatever the reads; written again in the plainest form, they are read again; buffers stay bounded.
#include "fuzz.h"
#include "tokenclock/sse_parser.h"

using tokenclock::SseEvent;
using tokenclock::SseParser;

namespace {

struct Outcome {
  std::vector<std::pair<std::string, std::string>> events;  // type, data
  bool too_large = false;

  bool operator==(const Outcome&) const = default;
};

Outcome receive(SseParser& parser, const fuzz::Pieces& pieces) {
  Outcome out;
  SseEvent event;
  const auto add = [&] {
    FUZZ_CHECK(event.data.size() <= SseParser::kMaxEventBytes);
    FUZZ_CHECK(event.data.find('\r') == std::string_view::npos);
    FUZZ_CHECK(event.type.find_first_of("\r\n") == std::string_view::npos);
    out.events.emplace_back(event.type, event.data);
  };
  fuzz::for_each_piece(pieces, [&](std::string_view input) {
    while (parser.next(input, event)) add();
    FUZZ_CHECK(input.empty());
    return true;
  });
  if (parser.finish(event)) add();
  FUZZ_CHECK(!parser.finish(event));
  out.too_large = parser.too_large();
  return out;
}

Outcome receive(const fuzz::Pieces& pieces) {
  SseParser parser;
  return receive(parser, pieces);
}

// "name: value", without the blank unless the value begins with one.
void append_field(std::string& out, std::string_view name, std::string_view value, std::string_view line_end) {
  out.append(name).append(value.starts_with(' ') ? ": " : ":").append(value).append(line_end);
}

std::string written_again(const Outcome& outcome, std::string_view line_end) {
  std::string out;
  for (const auto& [type, data] : outcome.events) {
    if (!type.empty()) append_field(out, "event", type, line_end);
    std::string_view rest = data;
    for (;;) {
      const std::size_t end = rest.find('\n');
      append_field(out, "data", rest.substr(0, end), line_end);
      if (end == std::string_view::npos) break;
      rest.remove_prefix(end + 1);
    }
    out += line_end;
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::text_of(data, size);
  fuzz::Dice dice(text);
  SseParser parser;
  const Outcome whole = receive(parser, {text});
  parser.reset();
  FUZZ_CHECK(receive(parser, fuzz::in_steps(text, fuzz::small_step(text, dice))) == whole);
  FUZZ_CHECK(receive(fuzz::cut(text, dice)) == whole);
  FUZZ_CHECK(receive(fuzz::cut(text, dice)) == whole);

  constexpr std::string_view line_ends[] = {"\n", "\r", "\r\n"};
  const Outcome again = receive(fuzz::cut(written_again(whole, line_ends[dice.below(3)]), dice));
  FUZZ_CHECK(again.events == whole.events && !again.too_large);
  return 0;
}
