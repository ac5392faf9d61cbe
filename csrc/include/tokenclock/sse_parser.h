// Incremental splitter of server-sent events (WHATWG): CR, LF, CRLF, comments, event:, multi-line data:, BOM.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "tokenclock/input_limit.h"

namespace tokenclock {

struct SseEvent {
  std::string_view data;  // lines joined by \n; valid until the next call
  std::string_view type;  // of the event: field; empty when absent
};

// A whole event inside one input costs no copy: its views point into that input. Bytes are copied only where an event
// is split across inputs or has several data lines. `data:` without content is an event with empty data, as WHATWG
// says; id: and retry: are ignored. Between events at most 4 KiB a buffer stay allocated, after reset() none.
class SseParser {
 public:
  // of one line, and of the joined data
  static constexpr std::size_t kMaxEventBytes = input_limit(std::size_t{16} * 1024 * 1024);

  // Consumes from the front of `input` (advances it). True: one event with data is complete. False: all is consumed,
  // or too_large().
  bool next(std::string_view& input, SseEvent& event);
  // The stream ended: true when a last event with data was left without its blank line.
  bool finish(SseEvent& event);
  void reset();  // also gives back a large buffer

  [[nodiscard]] bool too_large() const noexcept { return too_large_; }

 private:
  void skip_byte_order_mark(std::string_view& input);
  bool take_plain_event(std::string_view& input, SseEvent& event) const;
  bool take_line(std::string_view& input, std::string_view& line, bool& is_whole);
  void read_line(std::string_view line, bool is_whole);
  void keep_views();
  void give(SseEvent& event);
  void drop_event();
  bool refuse_as_too_large(std::string_view& input);

  // The event being read: views into the current input, or the two strings below.
  std::string_view data_;
  std::string_view type_;
  std::string kept_data_;
  std::string kept_type_;
  std::string line_;               // the front of a line whose end has not come yet
  std::uint8_t n_mark_bytes_ = 0;  // of the byte order mark; 3: it is behind us
  bool has_data_ = false;
  bool data_is_kept_ = false;
  bool skip_line_feed_ = false;  // the last line ended in CR: an LF right behind belongs to it
  bool was_given_ = false;       // the caller has seen this event: drop it first
  bool too_large_ = false;
};

static_assert(sizeof(SseParser) <= 200, "ten thousand connections hold one each");

}  // namespace tokenclock
