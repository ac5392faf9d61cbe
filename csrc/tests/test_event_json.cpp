#include <cmath>
#include <string>

#include "check.h"
#include "live_bytes.h"
#include "tokenclock/event_json.h"

using namespace tokenclock;

namespace {

EventKind kind_of(std::string_view data) { return read_event(data).kind; }

std::string unescaped(std::string_view raw) {
  std::string out;
  append_unescaped(raw, out);
  return out;
}

void test_completions_stream() {
  const EventMeaning got = read_event(
      R"({"id":"cmpl-1","object":"text_completion","created":1,"model":"m","choices":[{"index":0,"text":" a\"b","token_ids":[5,6],"logprobs":null,"finish_reason":null}],"usage":null})");
  CHECK(got.kind == EventKind::token);
  CHECK(got.has_text && !got.has_reasoning && !got.has_tool_call);
  CHECK(got.finish_reason == FinishReason::none);
  CHECK_EQ(got.id, "cmpl-1");
  CHECK_EQ(got.text, R"( a\"b)");
  CHECK_EQ(got.n_token_ids, 2);
  CHECK_EQ(got.prompt_tokens, -1);
  CHECK_EQ(got.completion_tokens, -1);
  CHECK(std::isnan(got.avg_decoded_tokens_per_iter));
}

void test_chat_stream() {
  CHECK(kind_of(R"({"choices":[{"delta":{"role":"assistant","content":null}}]})") == EventKind::empty);
  CHECK(kind_of(R"({"choices":[{"delta":{"role":"assistant","content":""}}]})") == EventKind::empty);
  CHECK(kind_of(R"({"choices":[{"delta":null}]})") == EventKind::empty);
  const EventMeaning text = read_event(R"({"choices":[{"delta":{"content":"hi"}}]})");
  CHECK(text.kind == EventKind::token && text.has_text);
  CHECK_EQ(text.text, "hi");
  for (const char* name : {"reasoning_content", "reasoning"}) {
    const std::string data = std::string(R"({"choices":[{"delta":{"content":null,")") + name + R"(":"hm"}}]})";
    const EventMeaning got = read_event(data);  // its views point into `data`
    CHECK(got.kind == EventKind::token && got.has_reasoning && !got.has_text);
    CHECK_EQ(got.reasoning, "hm");
    CHECK_EQ(got.text, "");
  }
  const EventMeaning second = read_event(R"({"choices":[{"delta":{"content":""}},{"delta":{"content":"b"}}]})");
  CHECK(second.kind == EventKind::token);
  CHECK_EQ(second.text, "");  // of choices[0]
}

void test_tool_calls() {
  const auto with = [](const std::string& call) { return R"({"choices":[{"delta":{"tool_calls":[)" + call + "]}}]}"; };
  const EventMeaning got = read_event(with(R"({"index":0,"function":{"arguments":"{"}})"));
  CHECK(got.kind == EventKind::token && got.has_tool_call && !got.has_text);
  CHECK(kind_of(with(R"({"index":0,"function":{"name":"f","arguments":""}})")) == EventKind::token);
  CHECK(kind_of(with(R"({"index":0,"function":{"name":null,"arguments":""}})")) == EventKind::empty);
  CHECK(kind_of(with(R"({"index":0,"function":null})")) == EventKind::empty);
  CHECK(kind_of(with("")) == EventKind::empty);
  CHECK(kind_of(with(R"({"function":{"arguments":{"a":1}}})")) == EventKind::unrecognised);
  CHECK(kind_of(R"({"choices":[{"delta":{"function_call":{"arguments":"{"}}}]})") == EventKind::token);
}

void test_whole_replies() {
  const EventMeaning chat = read_event(
      R"( {"id":"c","choices":[{"message":{"role":"assistant","content":"yes","reasoning_content":"so"},"finish_reason":"length"}],
        "usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10,"prompt_tokens_details":{"cached_tokens":4}}}
)");
  CHECK(chat.kind == EventKind::token && chat.has_text && chat.has_reasoning);
  CHECK(chat.finish_reason == FinishReason::length);
  CHECK_EQ(chat.prompt_tokens, 7);
  CHECK_EQ(chat.completion_tokens, 3);
  CHECK_EQ(chat.cached_tokens, 4);
  CHECK_EQ(read_event(R"({"choices":[{"text":"t"}]})").text, "t");
}

void test_finish_reasons() {
  const auto of = [](const std::string& value) {
    const EventMeaning got = read_event(R"({"choices":[{"delta":{},"finish_reason":)" + value + "}]}");
    CHECK(got.kind == EventKind::empty);
    return got.finish_reason;
  };
  CHECK(of("null") == FinishReason::none);
  CHECK(of("\"\"") == FinishReason::none);
  CHECK(of("3") == FinishReason::none);
  CHECK(of("\"stop\"") == FinishReason::stop);
  CHECK(of("\"st\\u006fp\"") == FinishReason::stop);
  CHECK(of("\"length\"") == FinishReason::length);
  CHECK(of("\"tool_calls\"") == FinishReason::tool_calls);
  CHECK(of("\"function_call\"") == FinishReason::tool_calls);
  CHECK(of("\"content_filter\"") == FinishReason::content_filter);
  CHECK(of("\"timeout\"") == FinishReason::other);
}

void test_usage_and_numbers() {
  const EventMeaning last = read_event(R"({"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}})");
  CHECK(last.kind == EventKind::empty);
  CHECK_EQ(last.completion_tokens, 2);
  CHECK(kind_of(R"({"choices":[]})") == EventKind::empty);
  CHECK(kind_of(R"({"usage":{}})") == EventKind::empty);
  CHECK(kind_of(R"({"usage":null})") == EventKind::unrecognised);
  const auto count = [](const std::string& value) {
    const EventMeaning got = read_event(R"({"usage":{"completion_tokens":)" + value + "}}");
    CHECK(got.kind == EventKind::empty);
    return got.completion_tokens;
  };
  CHECK_EQ(count("0"), 0);
  CHECK_EQ(count("-0"), 0);
  CHECK_EQ(count("2147483647"), 2147483647);
  CHECK_EQ(count("2147483648"), -1);
  CHECK_EQ(count("99999999999999999999999"), -1);
  CHECK_EQ(count("-3"), -1);
  CHECK_EQ(count("3.0"), -1);
  CHECK_EQ(count("3e2"), -1);
  CHECK_EQ(count("\"3\""), -1);
  CHECK_EQ(count("null"), -1);
  CHECK_EQ(count("5,\"completion_tokens\":\"x\""), -1);
  CHECK_EQ(read_event(R"({"choices":[{"text":"a","avg_decoded_tokens_per_iter":2.5}]})").avg_decoded_tokens_per_iter,
           2.5);
  CHECK_EQ(read_event(R"({"choices":[{"text":"a","avg_decoded_tokens_per_iter":3}]})").avg_decoded_tokens_per_iter,
           3.0);
  CHECK(std::isnan(read_event(R"({"choices":[{"avg_decoded_tokens_per_iter":null}]})").avg_decoded_tokens_per_iter));
}

void test_token_lengths() {
  const auto of = [](const std::string& members) { return read_event(R"({"choices":[{)" + members + "}]}"); };
  CHECK_EQ(of(R"("text":"a")").n_token_ids, -1);
  CHECK_EQ(of(R"("text":"a","logprobs":{"tokens":["x","y","z"],"content":null})").n_token_ids, 3);
  CHECK_EQ(of(R"("delta":{"content":"a"},"logprobs":{"content":[{"token":"x"},{"token":"y"}]})").n_token_ids, 2);
  CHECK_EQ(of(R"("text":"a","logprobs":{"tokens":["x"]},"token_ids":[1,2,3,4])").n_token_ids, 4);
  CHECK_EQ(of(R"("text":"a","token_ids":null)").n_token_ids, -1);
  CHECK(of(R"("text":"","token_ids":[7])").kind == EventKind::token);  // half a character: a token without text
  CHECK(of(R"("text":"","token_ids":[])").kind == EventKind::empty);
}

void test_errors() {
  const EventMeaning object = read_event(R"({"error" : {"message":"no","code":400} })");
  CHECK(object.kind == EventKind::error);
  CHECK_EQ(object.error, R"({"message":"no","code":400})");
  const EventMeaning text = read_event(R"({"error":"no"})");
  CHECK(text.kind == EventKind::error);
  CHECK_EQ(text.error, "\"no\"");
  const EventMeaning flat = read_event(R"( {"object":"error","message":"no"} )");
  CHECK(flat.kind == EventKind::error);
  CHECK_EQ(flat.error, R"({"object":"error","message":"no"})");
  CHECK(kind_of(R"({"choices":[{"text":"a"}],"error":{}})") == EventKind::error);
  for (const char* none : {"null", "false", "\"\""}) {
    CHECK(kind_of(std::string(R"({"choices":[{"text":"a"}],"error":)") + none + "}") == EventKind::token);
    CHECK(kind_of(std::string(R"({"error":)") + none + "}") == EventKind::unrecognised);
  }
}

void test_duplicate_and_escaped_keys() {
  CHECK(kind_of(R"({"choices":[{"text":"a"}],"choices":[]})") == EventKind::empty);
  CHECK(kind_of(R"({"choices":[{"text":"a","text":""}]})") == EventKind::empty);
  CHECK(kind_of(R"({"choices":[{"delta":{"content":"a"},"delta":{}}]})") == EventKind::empty);
  CHECK(kind_of(R"({"error":{"message":"m"},"error":null,"choices":[]})") == EventKind::empty);
  CHECK(kind_of(R"({"ch\u006fices":[{"t\u0065xt":"a"}]})") == EventKind::token);
  CHECK(kind_of("{\"" + std::string(100, '\\') + "\":1,\"choices\":[]}") == EventKind::empty);
}

void test_done() {
  for (const char* done : {"[DONE]", " [DONE]", "[DONE] \r\n", "\t[DONE]\t"}) CHECK(kind_of(done) == EventKind::done);
  for (const char* not_done : {"[DONE", "[done]", "[DONE]x", "DONE"}) {
    CHECK(kind_of(not_done) == EventKind::unrecognised);
  }
}

void test_not_json_or_not_known() {
  const std::string good = R"({"choices":[{"text":"a"}]})";
  CHECK(kind_of(good) == EventKind::token);
  for (std::size_t n = 0; n < good.size(); ++n) CHECK(kind_of(good.substr(0, n)) == EventKind::unrecognised);
  for (const char* bad : {
           "",
           " ",
           "null",
           "[]",
           "3",
           "\"x\"",
           "{}",
           "{\"choices\":null}",
           "{\"choices\":{}}",
           "{\"choices\":3,\"usage\":{}}",
           "{\"choices\":[null]}",
           "{\"choices\":[{\"text\":3}]}",
           "{\"choices\":[{\"delta\":[]}]}",
           "{\"choices\":[{\"delta\":{\"content\":[{\"type\":\"text\"}]}}]}",
           "{\"choices\":[]}x",
           "{\"choices\":[]}{}",
           "{\"choices\":[],}",
           "{\"choices\":[,]}",
           "{,}",
           "{choices:[]}",
           "{'choices':[]}",
           "{\"choices\" []}",
           "{\"choices\":[{}{}]}",
           "{\"choices\":[{},]}",
           "{\"choices\":[],\"a\":01}",
           "{\"choices\":[],\"a\":+1}",
           "{\"choices\":[],\"a\":1.}",
           "{\"choices\":[],\"a\":.5}",
           "{\"choices\":[],\"a\":1e}",
           "{\"choices\":[],\"a\":-}",
           "{\"choices\":[],\"a\":NaN}",
           "{\"choices\":[],\"a\":Infinity}",
           "{\"choices\":[],\"a\":tru}",
           "{\"choices\":[],\"a\":True}",
           "{\"choices\":[],\"a\":\"\\x\"}",
           "{\"choices\":[],\"a\":\"\\u12g4\"}",
           "{\"choices\":[],\"a\":\"\\u123\"}",
           "{\"choices\":[],\"a\":\"\n\"}",
           "{\"choices\":[],\"a\":\"\x1f\"}",
           "{\"choices\":[],\"a\":\"\x80\"}",
           "{\"choices\":[],\"a\":\"\xc0\xaf\"}",
           "{\"choices\":[],\"a\":\"\xe0\x80\x80\"}",
           "{\"choices\":[],\"a\":\"\xed\xa0\x80\"}",
           "{\"choices\":[],\"a\":\"\xf4\x90\x80\x80\"}",
           "{\"choices\":[],\"a\":\"\xf0\x80\x80\x80\"}",
           "{\"choices\":[],\"a\":\"\xe2\x82\"}",
           "\xef\xbb\xbf{\"choices\":[]}",
       }) {
    if (kind_of(bad) != EventKind::unrecognised) std::cerr << bad << '\n';
    CHECK(kind_of(bad) == EventKind::unrecognised);
  }
  using namespace std::string_view_literals;
  CHECK(kind_of("{\"choices\":[],\"a\":\"\0\"}"sv) == EventKind::unrecognised);
  CHECK(kind_of("{\"choices\":[]}\0"sv) == EventKind::unrecognised);
  CHECK(kind_of("{\"choices\":[],\"a\":\"\x7f\xc2\x80\xe2\x82\xac\xed\x9f\xbf\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf\"}") ==
        EventKind::empty);
  CHECK(kind_of("{\"choices\":[],\"a\":[0,-0,0.5,-1.5e+3,1E-2,true,false,null,\"\\ud800\",{},[ ]]}") ==
        EventKind::empty);
  // content of a known type somewhere beats an odd shape elsewhere
  CHECK(kind_of(R"({"choices":[{"text":3},{"text":"a"}]})") == EventKind::token);
}

void test_depth() {
  const auto nested = [](int n) {
    const auto size = static_cast<std::size_t>(n);
    return R"({"choices":[],"a":)" + std::string(size, '[') + std::string(size, ']') + "}";
  };
  CHECK(kind_of(nested(63)) == EventKind::empty);
  CHECK(kind_of(nested(64)) == EventKind::unrecognised);
  CHECK(kind_of(nested(1000000)) == EventKind::unrecognised);
}

// Every position of an odd byte relative to the eight-byte steps of the string scanner.
void test_every_alignment() {
  for (std::size_t before = 0; before < 20; ++before) {
    for (std::size_t after = 0; after < 20; ++after) {
      const auto with = [&](std::string_view middle) {
        return R"({"choices":[{"text":")" + std::string(before, 'a') + std::string(middle) + std::string(after, 'b') +
               "\"}]}";
      };
      CHECK_EQ(read_event(with("\\\"")).text.size(), before + 2 + after);
      CHECK_EQ(read_event(with("\xe2\x82\xac")).text.size(), before + 3 + after);
      CHECK(kind_of(with("\x01")) == EventKind::unrecognised);
      CHECK(kind_of(with("\xff")) == EventKind::unrecognised);
      CHECK(kind_of(with("\"")) == EventKind::unrecognised);
    }
  }
}

void test_unescape() {
  CHECK_EQ(unescaped("plain"), "plain");
  CHECK_EQ(unescaped(R"(\"\\\/\b\f\n\r\t)"), "\"\\/\b\f\n\r\t");
  CHECK_EQ(unescaped(R"(a\u0041\u00e9\u20AC\ud83d\ude00z)"), "aA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z");
  CHECK_EQ(unescaped(R"(\ud800)"), "\xef\xbf\xbd");
  CHECK_EQ(unescaped(R"(\ud800\ud83d\ude00)"), "\xef\xbf\xbd\xf0\x9f\x98\x80");
  CHECK_EQ(unescaped(R"(\ude00\ud83d)"), "\xef\xbf\xbd\xef\xbf\xbd");
  CHECK_EQ(unescaped(R"(\ud83dx)"), "\xef\xbf\xbdx");
  CHECK_EQ(unescaped(R"(\u00)"),
           "\xef\xbf\xbd"
           "00");  // any bytes may come in
  CHECK_EQ(unescaped("\\"), "\xef\xbf\xbd");
  std::string out = "kept ";
  append_unescaped("x", out);
  CHECK_EQ(out, "kept x");
}

void test_reading_allocates_nothing() {
  const std::string data =
      R"({"ch\u006fices":[{"text":"a","finish_reason":"\u0073top","logprobs":{"tokens":[1.5e3]}}]})";
  const std::size_t n_before = n_allocations;
  CHECK(read_event(data).kind == EventKind::token);
  CHECK_EQ(n_allocations, n_before);
}

}  // namespace

int main() {
  test_reading_allocates_nothing();
  test_completions_stream();
  test_chat_stream();
  test_tool_calls();
  test_whole_replies();
  test_finish_reasons();
  test_usage_and_numbers();
  test_token_lengths();
  test_errors();
  test_duplicate_and_escaped_keys();
  test_done();
  test_not_json_or_not_known();
  test_depth();
  test_every_alignment();
  test_unescape();
  return 0;
}
