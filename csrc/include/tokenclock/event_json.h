// What one event of an OpenAI-compatible stream (or one whole non-streaming reply) means, read in one pass.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace tokenclock {

enum class EventKind : std::uint8_t {
  token = 0,         // carries generated content: text, reasoning text, tool-call arguments, or a non-empty token_ids
  empty = 1,         // well understood and without content: role only, usage, finish reason
  done = 2,          // [DONE]
  error = 3,         // an `error` object, also inside a 200 stream
  unrecognised = 4,  // not JSON, or a shape not known here: kept raw for Python's json to look at after the run
};

enum class FinishReason : std::uint8_t {
  none = 0,
  stop = 1,
  length = 2,
  tool_calls = 3,
  content_filter = 4,
  other = 5
};

struct EventMeaning {
  EventKind kind = EventKind::unrecognised;
  bool has_text = false;       // choices[].text, delta.content, message.content
  bool has_reasoning = false;  // reasoning_content or reasoning
  bool has_tool_call = false;  // tool_calls[].function.arguments (or name)
  FinishReason finish_reason = FinishReason::none;
  std::int32_t n_token_ids = -1;  // length of choices[0].token_ids, or logprobs.tokens / logprobs.content; -1: absent
  // usage of this event; -1: absent
  std::int32_t prompt_tokens = -1;
  std::int32_t completion_tokens = -1;
  std::int32_t cached_tokens = -1;  // usage.prompt_tokens_details.cached_tokens
  double avg_decoded_tokens_per_iter = std::numeric_limits<double>::quiet_NaN();
  std::string_view id;         // top-level "id", still escaped
  std::string_view text;       // of choices[0], still escaped as in the JSON string
  std::string_view reasoning;  // of choices[0], still escaped
  std::string_view error;      // raw JSON of the error value
};

// Never throws, never allocates. Views point into `data`.
[[nodiscard]] EventMeaning read_event(std::string_view data) noexcept;

// Appends the UTF-8 form of a JSON string's inside. Lone surrogates become U+FFFD. `raw` comes from read_event.
void append_unescaped(std::string_view raw, std::string& out);

}  // namespace tokenclock
