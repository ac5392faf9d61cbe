#include <cmath>
#include <string>
#include <vector>

#include "check.h"
#include "tokenclock/event_reader.h"

using namespace tokenclock;

namespace {

bool same(const EventMeaning& a, const EventMeaning& b) {
  const bool both_nan = std::isnan(a.avg_decoded_tokens_per_iter) && std::isnan(b.avg_decoded_tokens_per_iter);
  return a.kind == b.kind && a.has_text == b.has_text && a.has_reasoning == b.has_reasoning &&
         a.has_tool_call == b.has_tool_call && a.finish_reason == b.finish_reason && a.n_token_ids == b.n_token_ids &&
         a.prompt_tokens == b.prompt_tokens && a.completion_tokens == b.completion_tokens &&
         a.cached_tokens == b.cached_tokens && a.id == b.id && a.text == b.text && a.reasoning == b.reasoning &&
         a.error == b.error && (both_nan || a.avg_decoded_tokens_per_iter == b.avg_decoded_tokens_per_iter);
}

// Every event reads as it does by itself, whatever came before; each from memory of its own that is gone afterwards.
void check_stream(const std::vector<std::string>& events) {
  EventReader reader;
  for (const std::string& event : events) {
    const std::string copy = event;
    CHECK(same(reader.read(copy), read_event(copy)));
  }
}

std::string completion(const std::string& text, const std::string& rest = R"("finish_reason":null}]})") {
  return R"({"id":"cmpl-1","choices":[{"index":0,"text":")" + text + R"(",)" + rest;
}

std::string chat(const std::string& delta) { return R"({"id":"c","choices":[{"delta":{)" + delta + "}}]}"; }

void texts_that_differ() {
  check_stream({completion(" a"), completion(" longer"), completion("x"), completion(R"(\u00e9 \" \\ \n)"),
                completion("\xc3\xa9"), completion(" a")});
}

void what_is_no_text_is_not_taken_for_one() {
  check_stream({completion("a"), completion(""), completion("a"), completion("b\","), completion("b\\"),
                completion("b\x01"), completion("b\xff"), completion("\\ud83d"), completion("a\"b"), completion("c")});
}

void what_stands_around_the_text_matters() {
  check_stream({completion("a"), completion("b", R"("finish_reason":"stop"}]})"), completion("c"),
                completion("c") + " ", " " + completion("c"), completion("d", R"("token_ids":[1,2]}]})"),
                completion("e", R"("token_ids":[1,2]}]})"), completion("f", R"("token_ids":[1]}]})"),
                completion("g", R"("finish_reason":null}],"usage":{"completion_tokens":1}})"),
                completion("h", R"("finish_reason":null}],"usage":{"completion_tokens":2}})"), "[DONE]",
                completion("i", R"(}]})"), "{", "", completion("j")});
}

void the_last_of_equal_keys_still_wins() {
  check_stream({completion("a", R"("text":"b"}]})"), completion("c", R"("text":"b"}]})"),
                completion("a", R"("text":"d"}]})"), completion("a", R"("text":""}]})")});
}

void chats_and_reasoning() {
  check_stream({chat(R"("role":"assistant","content":null)"), chat(R"("content":"a")"), chat(R"("content":"b")"),
                chat(R"("reasoning_content":"why")"), chat(R"("reasoning_content":"because")"),
                chat(R"("content":"x","reasoning":"y")"), chat(R"("content":"z","reasoning":"y")"),
                chat(R"("content":"z","reasoning":"w")"), chat(R"("refusal":"no")"), chat(R"("refusal":"never")"),
                chat(R"("content":"","refusal":"no")"), chat(R"("content":"yes","refusal":"no")"),
                chat(R"("tool_calls":[{"function":{"arguments":"{"}}])"), chat(R"("content":"a")")});
}

void errors_and_long_events() {
  const std::string padding(EventReader::kMaxPatternBytes, 'p');
  check_stream({completion("a"), R"({"error":{"message":"broken"}})", completion("a"), completion(padding),
                completion(padding + "q"), completion("a")});
}

void reset_forgets() {
  EventReader reader;
  CHECK(reader.read(completion("a")).kind == EventKind::token);
  reader.reset();
  CHECK(same(reader.read(completion("b")), read_event(completion("b"))));
}

}  // namespace

int main() {
  texts_that_differ();
  what_is_no_text_is_not_taken_for_one();
  what_stands_around_the_text_matters();
  the_last_of_equal_keys_still_wins();
  chats_and_reasoning();
  errors_and_long_events();
  reset_forgets();
}
