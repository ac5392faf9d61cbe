// Incremental splitter of server-sent events (WHATWG): CR, LF, CRLF, comments, event:, multi-line data:, BOM.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace tokenclock {

struct SseEvent {
  std::string_view data;  // lines joined by \n; valid until the next call
  std::string_view type;  // of the event: field; empty when absent
};

class SseParser {
 public:
  static constexpr std::size_t kMaxEventBytes = 16 * 1024 * 1024;

  // Consumes from the front of `input` (advances it). True: one event with data is complete. False: all is consumed,
  // or too_large().
  bool next(std::string_view& input, SseEvent& event);
  // The stream ended: true when a last event with data was left without its blank line.
  bool finish(SseEvent& event);
  void reset();  // also gives back a large buffer

  [[nodiscard]] bool too_large() const noexcept;

 private:
  // the implementation's; a whole event inside `input` must cost no copy
};

}  // namespace tokenclock
