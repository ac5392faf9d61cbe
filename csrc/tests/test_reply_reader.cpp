// Every reply is read whole, byte by byte, and at every two-way split: the outcome must be the same.
#include <functional>
#include <string>

#include "check.h"
#include "tokenclock/reply_reader.h"

using namespace tokenclock;

namespace {

const char* const kHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

std::string chunk(const std::string& data) {
  char size[16];
  std::snprintf(size, sizeof size, "%zx\r\n", data.size());
  return size + data + "\r\n";
}

std::string event(const std::string& json) { return chunk("data: " + json + "\n\n"); }

struct Outcome {
  ReplyReader::Progress progress = ReplyReader::Progress::more;
  int status = -1;
  bool reusable = false;
  std::int32_t osl_events = 0;
  std::size_t n_events = 0;
  std::int32_t isl = -1;
  std::int32_t osl = -1;
  std::int32_t cached = -1;
  int finish = 0;
  int http_status = 0;
  bool has_first = false;
  bool has_last = false;
  std::string text;
  std::string id;
  std::string error;
  std::string final_event;
  std::size_t n_raw = 0;
  bool operator==(const Outcome&) const = default;
};

Outcome read(const std::string& bytes, std::size_t split, std::size_t step, bool stream, bool then_closed) {
  RequestColumns columns(1);
  const ReplyOptions options{.stream = stream, .keep_text = true, .keep_final_event = true};
  ReplyTexts texts(1, options);
  Recording recording(columns, texts, 1024, 1 << 20);
  ReplyReader reader;
  reader.begin(0, options);
  std::int64_t t = 1000;
  auto progress = ReplyReader::Progress::more;
  for (std::size_t at = 0; at < bytes.size() && progress == ReplyReader::Progress::more;) {
    const std::size_t n = step > 0 ? step : (at < split ? split - at : bytes.size() - at);
    progress = reader.feed(std::string_view(bytes).substr(at, n), {t, t + 5, true}, recording);
    at += n;
    t += 10;
  }
  if (progress == ReplyReader::Progress::more && then_closed)
    progress = reader.closed("closed by peer", {t, t, false}, recording);
  Outcome outcome;
  outcome.progress = progress;
  outcome.status = static_cast<int>(reader.status());
  outcome.reusable = reader.reusable();
  outcome.osl_events = columns.osl_events[0];
  outcome.n_events = recording.log.size();
  outcome.isl = columns.isl_server[0];
  outcome.osl = columns.osl_server[0];
  outcome.cached = columns.cached_tokens[0];
  outcome.finish = columns.finish_reason[0];
  outcome.http_status = columns.http_status[0];
  outcome.has_first = columns.t_first_token_ns[0] != kMissingNs;
  outcome.has_last = columns.t_last_token_ns[0] != kMissingNs;
  outcome.text = texts.texts[0];
  outcome.id = texts.ids[0];
  outcome.final_event = texts.final_events[0];
  if (recording.errors().contains(0)) outcome.error = recording.errors().at(0);
  outcome.n_raw = recording.raw_events().size();
  return outcome;
}

Outcome read_every_way(const std::string& bytes, bool stream = true, bool then_closed = false) {
  const Outcome whole = read(bytes, bytes.size(), 0, stream, then_closed);
  const Outcome bytewise = read(bytes, 0, 1, stream, then_closed);
  CHECK_EQ(bytewise.error, whole.error);
  CHECK_EQ(bytewise.status, whole.status);
  CHECK_EQ(bytewise.n_events, whole.n_events);
  CHECK_EQ(bytewise.reusable, whole.reusable);
  CHECK(bytewise == whole);
  for (std::size_t split = 1; split < bytes.size(); ++split) CHECK(read(bytes, split, 0, stream, then_closed) == whole);
  return whole;
}

void completions_stream() {
  const Outcome outcome = read_every_way(
      kHead + event(R"({"id":"cmpl-1","choices":[{"index":0,"text":"Hel\u00e9","finish_reason":null}]})") +
      event(R"({"id":"cmpl-1","choices":[{"index":0,"text":"lo","finish_reason":"length"}]})") +
      event(
          R"({"id":"cmpl-1","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":3}}})") +
      event("[DONE]") + "0\r\n\r\n");
  CHECK(outcome.progress == ReplyReader::Progress::complete);
  CHECK_EQ(outcome.status, static_cast<int>(RequestStatus::ok));
  CHECK(outcome.reusable);
  CHECK_EQ(outcome.n_events, std::size_t{2});
  CHECK_EQ(outcome.isl, 7);
  CHECK_EQ(outcome.osl, 2);
  CHECK_EQ(outcome.cached, 3);
  CHECK_EQ(outcome.finish, static_cast<int>(FinishReason::length));
  CHECK_EQ(outcome.text, std::string("Hel\xc3\xa9lo"));
  CHECK_EQ(outcome.id, std::string("cmpl-1"));
  CHECK(outcome.final_event.find("completion_tokens") != std::string::npos);
}

void chat_role_only_is_no_token_and_usage_moves_nothing() {
  const std::string bytes = kHead + event(R"({"choices":[{"delta":{"role":"assistant","content":null}}]})") +
                            ": keep-alive\n\n" + std::string("0\r\n\r\n");
  // a comment outside of a chunk is a broken frame
  CHECK_EQ(read(bytes, bytes.size(), 0, true, false).status, static_cast<int>(RequestStatus::protocol_error));

  RequestColumns columns(1);
  const ReplyOptions options;
  ReplyTexts texts(1, options);
  Recording recording(columns, texts, 16, 0);
  ReplyReader reader;
  reader.begin(0, options);
  using P = ReplyReader::Progress;
  CHECK(reader.feed(kHead + event(R"({"choices":[{"delta":{"role":"assistant","content":""}}]})"), {10, 11, true},
                    recording) == P::more);
  CHECK_EQ(columns.t_first_token_ns[0], kMissingNs);
  CHECK_EQ(columns.t_first_byte_ns[0], 10);
  CHECK(reader.feed(event(R"({"choices":[{"delta":{"reasoning_content":"hm"}}]})"), {20, 21, true}, recording) ==
        P::more);
  CHECK(reader.feed(event(R"({"choices":[{"delta":{"content":"a"}}]})"), {30, 31, true}, recording) == P::more);
  CHECK(reader.feed(event(R"({"choices":[{"delta":{},"finish_reason":"stop"}]})"), {40, 41, true}, recording) ==
        P::more);
  CHECK(reader.feed(event(R"({"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}})") + event("[DONE]") +
                        "0\r\n\r\n",
                    {50, 51, true}, recording) == P::complete);
  CHECK_EQ(columns.t_first_token_ns[0], 20);
  CHECK_EQ(columns.t_last_token_ns[0], 30);
  CHECK_EQ(recording.log.size(), std::size_t{2});
  CHECK_EQ(columns.osl_events[0], 2);
}

void events_of_one_read_share_the_stamp_and_are_counted() {
  RequestColumns columns(1);
  const ReplyOptions options;
  ReplyTexts texts(1, options);
  Recording recording(columns, texts, 16, 0);
  ReplyReader reader;
  reader.begin(0, options);
  const std::string token = event(R"({"choices":[{"text":"a"}]})");
  reader.feed(kHead + token + token + token, {10, 12, true}, recording);
  reader.feed(token, {20, 22, false}, recording);
  CHECK_EQ(recording.counts.n_events_coalesced, 3);
  CHECK_EQ(recording.counts.n_first_tokens_coalesced, 1);
  CHECK_EQ(recording.counts.n_events_kernel, 3);
  CHECK_EQ(recording.log[2].t_token_ns, 10);
  CHECK_EQ(recording.log[3].t_token_ns, 20);
}

void tokens_per_event() {
  const auto count = [](const std::vector<std::string>& events) {
    std::string bytes = kHead;
    for (const std::string& json : events) bytes += event(json);
    return read_every_way(bytes + event("[DONE]") + "0\r\n\r\n").osl_events;
  };
  // usage in every event: its differences count
  CHECK_EQ(count({R"({"choices":[{"text":"a"}],"usage":{"completion_tokens":3}})",
                  R"({"choices":[{"text":"b"}],"usage":{"completion_tokens":5}})"}),
           5);
  // usage in the last event alone: it says nothing of that event's tokens
  CHECK_EQ(count({R"({"choices":[{"text":"a"}]})",
                  R"({"choices":[{"text":"b","finish_reason":"stop"}],"usage":{"completion_tokens":9}})"}),
           2);
  // however large the numbers, and however often, the sum fits its column
  const std::string most = R"({"choices":[{"text":"a"}],"usage":{"completion_tokens":2147483647}})";
  CHECK_EQ(count({most, R"({"choices":[{"text":"a"}],"usage":{"completion_tokens":1}})", most}), 2147483647);
  CHECK_EQ(count({R"({"choices":[{"text":"a","token_ids":[1,2,3]}]})"}), 3);
  CHECK_EQ(count({R"({"choices":[{"text":"ab","logprobs":{"tokens":["a","b"]}}]})"}), 2);
}

void failures() {
  const std::string token = event(R"({"choices":[{"text":"a"}]})");
  Outcome outcome = read_every_way("HTTP/1.1 404 Not Found\r\nContent-Length: 22\r\n\r\n{\"error\":\"no model m\"}");
  CHECK_EQ(outcome.status, static_cast<int>(RequestStatus::http_error));
  CHECK_EQ(outcome.http_status, 404);
  CHECK_EQ(outcome.error, std::string("{\"error\":\"no model m\"}"));
  CHECK(outcome.reusable);

  outcome = read_every_way(kHead + token + event(R"({"error":{"message":"out of memory"}})") + "0\r\n\r\n");
  CHECK_EQ(outcome.status, static_cast<int>(RequestStatus::stream_error));
  CHECK(outcome.error.find("out of memory") != std::string::npos);
  CHECK(!outcome.reusable);

  outcome = read_every_way(kHead + token + "0\r\n\r\n");
  CHECK_EQ(outcome.status, static_cast<int>(RequestStatus::truncated));

  outcome = read_every_way(kHead + token, true, true);
  CHECK_EQ(outcome.status, static_cast<int>(RequestStatus::truncated));
  CHECK_EQ(outcome.error, std::string("closed by peer"));
  CHECK_EQ(outcome.n_events, std::size_t{1});

  // the answer was whole although the last frame is missing
  outcome = read_every_way(kHead + token + event("[DONE]"), true, true);
  CHECK_EQ(outcome.status, static_cast<int>(RequestStatus::ok));
  CHECK(!outcome.reusable);

  outcome = read_every_way("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>");
  CHECK_EQ(outcome.status, static_cast<int>(RequestStatus::protocol_error));
  CHECK(outcome.error.find("no event stream but: <") == 0);

  outcome = read_every_way("SSH-2.0-OpenSSH_9.2\r\n\r\n");
  CHECK_EQ(outcome.status, static_cast<int>(RequestStatus::protocol_error));

  outcome = read_every_way(kHead + token + event("garbage") + event("[DONE]") + "0\r\n\r\n");
  CHECK_EQ(outcome.status, static_cast<int>(RequestStatus::ok));  // Python's json has the last word
  CHECK_EQ(outcome.n_raw, std::size_t{1});

  outcome = read_every_way(kHead + chunk("data:\n\n") + token + event("[DONE]") + "0\r\n\r\n");
  CHECK_EQ(outcome.status, static_cast<int>(RequestStatus::ok));
  CHECK_EQ(outcome.n_raw, std::size_t{0});
}

void whole_replies() {
  const std::string body =
      R"({"id":"x","choices":[{"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":4,"completion_tokens":1}})";
  const std::string bytes =
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
      "\r\n\r\n" + body;
  for (const bool stream : {false, true}) {
    const Outcome outcome = read_every_way(bytes, stream);
    CHECK_EQ(outcome.status, static_cast<int>(RequestStatus::ok));
    CHECK_EQ(outcome.osl, 1);
    CHECK_EQ(outcome.n_events, std::size_t{0});
    CHECK(!outcome.has_first);
    CHECK(outcome.has_last);
    CHECK_EQ(outcome.text, std::string("hi"));
  }
  const Outcome error = read_every_way("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{\"error\":\"no slots\"}", false);
  CHECK_EQ(error.status, static_cast<int>(RequestStatus::stream_error));
  const Outcome text = read_every_way("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false);
  CHECK_EQ(text.status, static_cast<int>(RequestStatus::protocol_error));
}

void a_step_of_the_clock_voids_the_stamps_since_the_last_anchor() {
  RequestColumns columns(1);
  const ReplyOptions options;
  ReplyTexts texts(1, options);
  Recording recording(columns, texts, 16, 0);
  recording.set_stamp(columns.t_first_byte_ns, 0, {5, 6, true});
  recording.add_token_event(0, 1, {10, 12, true});
  recording.settle();
  CHECK_EQ(recording.log.published(), std::size_t{1});
  recording.add_token_event(0, 1, {20, 25, true});
  recording.set_stamp(columns.t_done_ns, 0, {30, 37, true});
  recording.settle_after_step();
  CHECK_EQ(recording.log[0].t_token_ns, 10);
  CHECK_EQ(recording.log[1].t_token_ns, 25);
  CHECK_EQ(columns.t_first_byte_ns[0], 5);
  CHECK_EQ(columns.t_first_token_ns[0], 10);
  CHECK_EQ(columns.t_last_token_ns[0], 25);
  CHECK_EQ(columns.t_done_ns[0], 37);
  CHECK_EQ(recording.counts.n_events_stepped, 1);
  CHECK_EQ(recording.counts.n_events_kernel, 1);
}

}  // namespace

int main() {
  completions_stream();
  chat_role_only_is_no_token_and_usage_moves_nothing();
  events_of_one_read_share_the_stamp_and_are_counted();
  tokens_per_event();
  failures();
  whole_replies();
  a_step_of_the_clock_voids_the_stamps_since_the_last_anchor();
}
