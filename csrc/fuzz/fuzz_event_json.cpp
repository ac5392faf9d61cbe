// Events' JSON: strings come out as UTF-8 and come back when written again, the last of two equal keys wins, blanks
// around mean nothing, half an object means nothing. A reader that learns patterns says the same of every event.
#include <cmath>

#include "fuzz.h"
#include "tokenclock/event_json.h"
#include "tokenclock/event_reader.h"

using tokenclock::EventKind;
using tokenclock::EventMeaning;
using tokenclock::read_event;

namespace {

std::string unescaped(std::string_view raw) {
  std::string out;
  tokenclock::append_unescaped(raw, out);
  return out;
}

bool same_number(double a, double b) { return (std::isnan(a) && std::isnan(b)) || a == b; }

bool same(const EventMeaning& a, const EventMeaning& b) {
  return a.kind == b.kind && a.has_text == b.has_text && a.has_reasoning == b.has_reasoning &&
         a.has_tool_call == b.has_tool_call && a.finish_reason == b.finish_reason && a.n_token_ids == b.n_token_ids &&
         a.prompt_tokens == b.prompt_tokens && a.completion_tokens == b.completion_tokens &&
         a.cached_tokens == b.cached_tokens &&
         same_number(a.avg_decoded_tokens_per_iter, b.avg_decoded_tokens_per_iter) && a.id == b.id &&
         a.text == b.text && a.reasoning == b.reasoning;
}

bool lies_in(std::string_view part, std::string_view whole) {
  return part.empty() || (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

void check_values(const EventMeaning& got, std::string_view data) {
  for (const std::string_view part : {got.id, got.text, got.reasoning, got.error}) {
    FUZZ_CHECK(lies_in(part, data));
    FUZZ_CHECK(fuzz::is_utf8(part));
    FUZZ_CHECK(fuzz::is_utf8(unescaped(part)));
  }
  for (const std::int32_t count : {got.n_token_ids, got.prompt_tokens, got.completion_tokens, got.cached_tokens}) {
    FUZZ_CHECK(count >= -1);
  }
  FUZZ_CHECK((got.kind == EventKind::error) == !got.error.empty());
  const bool has_content = got.has_text || got.has_reasoning || got.has_tool_call;
  FUZZ_CHECK(got.kind != EventKind::empty || !has_content);
  FUZZ_CHECK(got.text.empty() || got.has_text);
  FUZZ_CHECK(got.reasoning.empty() || got.has_reasoning);
}

// Members for the front of the object, where later ones of their names, which `got` shows to be there, override them.
std::string members_that_lose(const EventMeaning& got) {
  std::string out;
  if (got.kind == EventKind::token) {
    out += R"("choices":[{"text":"t","finish_reason":"stop","token_ids":[1],"avg_decoded_tokens_per_iter":3,)"
           R"("delta":{"reasoning":"r","tool_calls":[{"function":{"name":"f"}}]}},7],)";
  }
  if (got.prompt_tokens >= 0 || got.completion_tokens >= 0 || got.cached_tokens >= 0) {
    out += R"("usage":{"prompt_tokens":7,"completion_tokens":8,"prompt_tokens_details":{"cached_tokens":9}},)";
  }
  if (!got.id.empty()) out += R"("id":"lost",)";
  return out;
}

std::string as_json_string(std::string_view text, fuzz::Dice& dice) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || (byte < 0x80 && dice.below(8) == 0)) {
      char escape[8];
      std::snprintf(escape, sizeof escape, dice.below(2) == 0 ? "\\u%04x" : "\\u%04X", byte);
      out += escape;
    } else {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
  }
  return out + '"';
}

void check_written_again(const EventMeaning& got, fuzz::Dice& dice) {
  const std::string text = unescaped(got.text);
  const std::string reasoning = unescaped(got.reasoning);
  const std::string again = "{\"id\":" + as_json_string(unescaped(got.id), dice) +
                            ",\"choices\":[{\"delta\":{\"content\":" + as_json_string(text, dice) +
                            ",\"reasoning\":" + as_json_string(reasoning, dice) + "}}]}";
  const EventMeaning second = read_event(again);
  FUZZ_CHECK(second.kind == (text.empty() && reasoning.empty() ? EventKind::empty : EventKind::token));
  FUZZ_CHECK(unescaped(second.text) == text);
  FUZZ_CHECK(unescaped(second.reasoning) == reasoning);
  FUZZ_CHECK(unescaped(second.id) == unescaped(got.id));
}

// Events that follow one another in a stream: the same again, with other text, with any byte changed, cut short.
void check_pattern(std::string_view input, const EventMeaning& got, fuzz::Dice& dice) {
  tokenclock::EventReader reader;
  const std::string_view varying = got.text.empty() ? got.reasoning : got.text;
  const std::size_t begin = varying.empty() ? 0 : static_cast<std::size_t>(varying.data() - input.data());
  const std::string front(input.substr(0, begin));
  const std::string back(input.substr(begin + varying.size()));
  std::string changed(input);
  if (!changed.empty()) changed[dice.below(changed.size())] = static_cast<char>(dice.below(256));
  const std::string piece(input.substr(0, dice.below(input.size() + 1)));
  for (const std::string& event : {std::string(input), std::string(input), front + "x" + back, front + piece + back,
                                   front + back, front + "\\u00e9\\n" + back, changed, std::string(input), piece,
                                   front + "\xc3\xa9" + back + " ", front + "y" + back}) {
    fuzz::GuardedMemory memory(event.size());
    const std::string_view copy = memory.keep(event);
    const EventMeaning& learnt = reader.read(copy);
    FUZZ_CHECK(same(learnt, read_event(copy)) && learnt.error == read_event(copy).error);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input = fuzz::text_of(data, size);
  fuzz::Dice dice(input);
  (void)unescaped(input);  // any bytes may come in
  const EventMeaning got = read_event(input);
  check_values(got, input);
  check_pattern(input, got, dice);
  const std::string padded = " \r\n" + std::string(input) + "\t ";
  FUZZ_CHECK(same(read_event(padded), got));
  if (got.kind == EventKind::unrecognised || got.kind == EventKind::done) return 0;

  const std::size_t first = input.find_first_not_of(" \t\r\n");
  const std::string object(input.substr(first, input.find_last_not_of(" \t\r\n") + 1 - first));
  FUZZ_CHECK(read_event(object.substr(0, dice.below(object.size()))).kind == EventKind::unrecognised);
  const std::string members = object.substr(1, object.size() - 2);
  if (members.find_first_not_of(" \t\r\n") != std::string::npos) {
    const std::string doubled = "{" + members + "," + members + "}";
    FUZZ_CHECK(same(read_event(doubled), got));
    const std::string overridden = std::string("{").append(members_that_lose(got)) + members + "}";
    FUZZ_CHECK(same(read_event(overridden), got));
  }
  check_written_again(got, dice);
  return 0;
}
