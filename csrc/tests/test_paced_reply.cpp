// The server's replies, read back by the client's own parsers: framing, shapes, counts, and the size of an event.
#include <string>
#include <string_view>
#include <vector>

#include "check.h"
#include "tokenclock/event_json.h"
#include "tokenclock/http_parser.h"
#include "tokenclock/paced_reply.h"
#include "tokenclock/sse_parser.h"

namespace {

using namespace tokenclock;

struct Read {
  int status = 0;
  bool keep_alive = false;
  std::string body;
  std::vector<std::string> events;
};

Read read_reply(std::string_view bytes) {
  Read read;
  HttpResponseParser parser;
  SseParser sse;
  SseEvent event;
  while (true) {
    const auto step = parser.next(bytes);
    CHECK(step != HttpResponseParser::Step::error && step != HttpResponseParser::Step::need_more);
    if (step == HttpResponseParser::Step::body) {
      read.body += parser.body();
      std::string_view part = parser.body();
      while (parser.is_event_stream() && sse.next(part, event)) read.events.emplace_back(event.data);
    }
    if (step == HttpResponseParser::Step::complete) break;
  }
  CHECK(bytes.empty());
  read.status = parser.status();
  read.keep_alive = parser.keep_alive();
  return read;
}

ReplyText::Facts facts(bool chat) {
  ReplyText::Facts facts;
  facts.request = 17;
  facts.created_s = 1'790'000'000;
  facts.model = R"(m\"1)";
  facts.prompt_tokens = 5;
  facts.n_tokens = 3;
  facts.vocab_size = 1000;
  facts.chat = chat;
  return facts;
}

Read stream_of(const ReplyText& text) {
  std::string bytes;
  text.append_head(bytes, true);
  text.append_role(bytes);
  text.append_content(bytes, 0, 1);
  text.append_content(bytes, 1, 2);
  text.append_tail(bytes);
  text.append_end(bytes);
  return read_reply(bytes);
}

void check_stream(bool chat) {
  ReplyText::Facts asked = facts(chat);
  asked.include_usage = true;
  asked.tokens_per_iteration = 1.5;
  const Read read = stream_of(ReplyText(asked));
  CHECK_EQ(read.status, 200);
  CHECK(read.keep_alive);
  std::vector<EventMeaning> meanings;
  meanings.reserve(read.events.size());
  for (const std::string& event : read.events) meanings.push_back(read_event(event));
  const std::size_t first = chat ? 1 : 0;
  const std::size_t finish = chat ? 3 : 1;
  CHECK_EQ(read.events.size(), chat ? 6U : 4U);
  if (chat) {
    CHECK(meanings[0].kind == EventKind::empty);
    CHECK(read.events[0].find(R"("role":"assistant")") != std::string::npos);
  }
  CHECK(meanings[first].kind == EventKind::token);
  CHECK_EQ(meanings[first].text, " w0000");
  CHECK_EQ(meanings[first].id, "paced-17");
  CHECK(meanings[first].finish_reason == FinishReason::none);
  CHECK_EQ(meanings[first + 1].text, " w0001 w0002");
  CHECK(meanings[finish].finish_reason == FinishReason::length);
  CHECK_EQ(meanings[finish].avg_decoded_tokens_per_iter, 1.5);
  CHECK_EQ(meanings[finish + 1].prompt_tokens, 5);
  CHECK_EQ(meanings[finish + 1].completion_tokens, 3);
  CHECK(meanings[finish + 1].kind == EventKind::empty);
  CHECK(meanings.back().kind == EventKind::done);
  // the size of a real server's event
  CHECK(read.events[first].size() > 180 && read.events[first].size() < 260);
}

}  // namespace

int main() {
  check_stream(false);
  check_stream(true);

  // usage and ids in every event, comments between them
  ReplyText::Facts asked = facts(false);
  asked.continuous_usage = asked.token_ids = asked.comments = true;
  const Read read = stream_of(ReplyText(asked));
  CHECK_EQ(read.events.size(), 3U);
  CHECK_EQ(read_event(read.events[0]).n_token_ids, 1);
  CHECK_EQ(read_event(read.events[0]).completion_tokens, 1);
  CHECK_EQ(read_event(read.events[1]).n_token_ids, 2);
  CHECK_EQ(read_event(read.events[1]).completion_tokens, 3);
  CHECK(read.body.find(": paced comment") != std::string::npos);

  // an answer that ended early, to a prompt half of which was cached
  ReplyText::Facts early = facts(false);
  early.include_usage = early.stopped = true;
  early.cached_tokens = 2;
  const Read stopped = stream_of(ReplyText(early));
  CHECK(read_event(stopped.events[1]).finish_reason == FinishReason::stop);
  CHECK_EQ(read_event(stopped.events[2]).cached_tokens, 2);
  CHECK_EQ(read_event(stopped.events[2]).prompt_tokens, 5);

  // words go round after ten thousand, and stay of one width
  std::string far;
  ReplyText(facts(false)).append_content(far, 29'999, 2);
  CHECK(far.find(R"(" w9999 w0000")") != std::string::npos);

  // faults inside the stream
  std::string broken;
  ReplyText(facts(false)).append_head(broken, false);
  ReplyText(facts(false)).append_garbage(broken);
  ReplyText(facts(false)).append_error(broken);
  ReplyText(facts(false)).append_end(broken);
  const Read faults = read_reply(broken);
  CHECK(!faults.keep_alive);
  CHECK(read_event(faults.events[0]).kind == EventKind::unrecognised);
  CHECK(read_event(faults.events[1]).kind == EventKind::error);

  // without chunks
  asked = facts(false);
  asked.chunked = false;
  std::string plain;
  ReplyText(asked).append_content(plain, 0, 1);
  ReplyText(asked).append_end(plain);
  CHECK(plain.starts_with("data: {") && plain.ends_with("}\n\n"));

  // whole replies
  for (const bool chat : {false, true}) {
    const Read whole = read_reply(http_reply(200, "application/json", ReplyText(facts(chat)).whole_body(), true));
    const EventMeaning meaning = read_event(whole.body);
    CHECK_EQ(meaning.text, " w0000 w0001 w0002");
    CHECK_EQ(meaning.completion_tokens, 3);
    CHECK(meaning.finish_reason == FinishReason::length);
  }
  const Read refused = read_reply(http_reply(404, "application/json", error_body(404, "no \"x\"\n"), false));
  CHECK_EQ(refused.status, 404);
  CHECK(!refused.keep_alive);
  CHECK(read_event(refused.body).kind == EventKind::error);
  CHECK(refused.body.find(R"(no \"x\"\u000a)") != std::string::npos);

  PacedOptions options;
  CHECK(models_body(options, 1).find(R"("id":"paced")") != std::string::npos);
  options.served_models = {"a", "b"};
  CHECK(models_body(options, 1).find(R"("id":"b")") != std::string::npos);
  CHECK(models_body(options, 1).find(R"("n_vocab":32000)") != std::string::npos);
  CHECK(metrics_body({1, 2, 3, 4, 5, 6, 0.25}).find("tokenclock_paced_generated_tokens_total 3\n") !=
        std::string::npos);
  CHECK(metrics_body({1, 2, 3, 4, 5, 6, 0.25}).find("tokenclock_paced_cpu_seconds_total 0.25\n") != std::string::npos);
  return 0;
}
