// Reads the events of one stream; quickly where an event differs from an earlier one in its text alone, as nearly all
// do.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "tokenclock/event_json.h"
#include "tokenclock/input_limit.h"

namespace tokenclock {

// Gives exactly what read_event() gives. The last event with text is kept as a pattern: where the bytes before and
// behind the text are the same again and a valid, non-empty JSON string stands between, nothing but the text can mean
// anything else.
class EventReader {
 public:
  static constexpr std::size_t kMaxPatternBytes = input_limit(4096);  // longer events are no pattern

  // The meaning holds until the next call; its views point into `data` or into this reader.
  const EventMeaning& read(std::string_view data);
  void reset();  // also gives back its memory

 private:
  bool read_alike(std::string_view data) noexcept;
  void learn(std::string_view data);

  EventMeaning meaning_;
  std::string pattern_;  // an event; empty: none
  bool varies_in_text_ = false;
  std::size_t begin_ = 0;  // of what varies: the inside of its text, or of its reasoning
  std::size_t end_ = 0;
};

static_assert(sizeof(EventReader) <= 256, "ten thousand connections hold one each");

}  // namespace tokenclock
