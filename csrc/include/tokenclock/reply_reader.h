// Reads one reply at a time from a connection's bytes: HTTP, then events, then their meaning, into a Recording.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tokenclock/event_json.h"
#include "tokenclock/event_reader.h"
#include "tokenclock/http_parser.h"
#include "tokenclock/input_limit.h"
#include "tokenclock/recording.h"
#include "tokenclock/sse_parser.h"

namespace tokenclock {

class ReplyReader {
 public:
  static constexpr std::size_t kMaxBodyBytes = input_limit(16u << 20);  // of a reply that is not an event stream

  enum class Progress : std::uint8_t {
    more,      // the reply goes on
    complete,  // it ended as HTTP says: status() holds, reusable() says whether the connection lives on
    failed,    // it can't be followed any further: status() holds, close the connection
  };

  void begin(std::int32_t row, const ReplyOptions& options);

  Progress feed(std::string_view bytes, const Arrival& arrival, Recording& recording);
  // The peer closed, or the socket failed with `reason`.
  Progress closed(std::string_view reason, const Arrival& arrival, Recording& recording);

  [[nodiscard]] RequestStatus status() const noexcept { return status_; }
  [[nodiscard]] bool reusable() const noexcept { return reusable_; }
  [[nodiscard]] bool any_byte() const noexcept { return any_byte_; }

 private:
  enum class BodyKind : std::uint8_t { unknown, events, whole };

  Progress fail(RequestStatus status, std::string_view text, Recording& recording);
  bool read_body(std::string_view body, const Arrival& arrival, Recording& recording);  // false: failed
  bool read_events(std::string_view body, const Arrival& arrival, Recording& recording);
  bool on_event(std::string_view data, const Arrival& arrival, Recording& recording);
  void add_token_event(const EventMeaning& meaning, const Arrival& arrival, Recording& recording);
  void note_meaning(const EventMeaning& meaning, std::string_view data, Recording& recording);
  [[nodiscard]] std::int32_t count_tokens(const EventMeaning& meaning, RecordingCounts& counts);
  Progress end_of_reply(const Arrival& arrival, Recording& recording);
  Progress end_of_events(const Arrival& arrival, Recording& recording);
  Progress end_of_whole(const Arrival& arrival, Recording& recording);

  HttpResponseParser http_;
  SseParser events_;
  EventReader meanings_;
  std::string body_;  // of a whole reply or of an error
  std::int32_t row_ = -1;
  std::int32_t last_completion_tokens_ = 0;
  ReplyOptions options_;
  RequestStatus status_ = RequestStatus::not_sent;
  BodyKind body_kind_ = BodyKind::unknown;
  bool reusable_ = false;
  bool any_byte_ = false;
  bool saw_token_ = false;
  bool saw_end_ = false;               // a finish reason or [DONE]
  bool usage_per_event_ = false;       // the first token event carried usage, so its differences count tokens
  bool has_id_ = false;                // the row has its id
  std::int32_t n_events_in_read_ = 0;  // token events of the bytes being fed
  bool first_token_in_read_ = false;
};

}  // namespace tokenclock
