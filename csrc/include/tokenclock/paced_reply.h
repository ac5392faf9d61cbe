// The bytes the paced server sends: heads, JSON bodies and stream events shaped as real servers shape them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tokenclock/paced_options.h"
#include "tokenclock/paced_request_body.h"

namespace tokenclock {

// A whole HTTP reply with its Content-Length.
[[nodiscard]] std::string http_reply(int status, std::string_view content_type, std::string_view body, bool keep_alive);
// {"error": {...}} as OpenAI words it; `message` is plain text and is escaped here.
[[nodiscard]] std::string error_body(int status, std::string_view message);
[[nodiscard]] std::string models_body(const PacedOptions& options, std::int64_t created_s);
// The inside of a JSON string.
[[nodiscard]] std::string json_escaped(std::string_view text);

struct PacedFigures {
  std::int64_t n_requests;
  std::int64_t n_prompt_tokens;
  std::int64_t n_tokens;
  std::int64_t n_sends;
  std::int64_t n_in_flight;
  std::int64_t n_connections;
  double cpu_s;
};
[[nodiscard]] std::string metrics_body(const PacedFigures& figures);

// The text of one generation's reply. What stays the same in every event is put together once.
class ReplyText {
 public:
  struct Facts {
    std::int64_t request = 0;  // k of the id "paced-<k>"
    std::int64_t created_s = 0;
    std::string model;  // escaped
    std::int32_t prompt_tokens = 0;
    std::int32_t n_tokens = 0;  // the whole answer's
    std::int32_t vocab_size = 1;
    bool chat = false;
    bool chunked = true;  // HTTP/1.1 framing; false: the connection's end ends the body
    bool include_usage = false;
    bool continuous_usage = false;
    bool token_ids = false;
    bool comments = false;
    bool stopped = false;             // the finish reason is "stop", not "length"
    std::int32_t cached_tokens = -1;  // of the prompt; -1: not reported
    double tokens_per_iteration = 0;  // > 0: reported in the last choice
  };

  ReplyText() = default;
  explicit ReplyText(Facts facts);

  // All of these append whole events, framed for the wire.
  void append_head(std::string& out, bool keep_alive) const;  // the status line and headers of a stream
  void append_role(std::string& out) const;                   // chat opens with it; nothing for a completion
  void append_content(std::string& out, std::int32_t first_token, std::int32_t n_tokens) const;
  void append_garbage(std::string& out) const;
  void append_error(std::string& out) const;
  // What follows the last content: finish reason (chat), usage (when asked for), [DONE].
  void append_tail(std::string& out) const;
  void append_end(std::string& out) const;  // the end of the body's framing

  // The reply's JSON when nobody asked for a stream.
  [[nodiscard]] std::string whole_body() const;

 private:
  void append_event(std::string& out, std::string_view payload) const;
  void append_words(std::string& out, std::int32_t first_token, std::int32_t n_tokens) const;
  void append_finish(std::string& out, bool last) const;
  void append_usage(std::string& out, std::int32_t n_tokens) const;

  Facts facts_;
  std::string opening_;  // of every event, up to the value of "choices"
};

}  // namespace tokenclock
