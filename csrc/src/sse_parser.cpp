#include "tokenclock/sse_parser.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace tokenclock {

namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// The first CR or LF, or npos. Searched window by window: a stream that ends its lines in CR alone would otherwise be
// searched for LF to its very end, once a line.
std::size_t find_line_end(std::string_view text) {
  constexpr std::size_t window = 1024;
  for (std::size_t from = 0; from < text.size(); from += window) {
    const std::string_view part = text.substr(from, window);
    const std::size_t lf = part.find('\n');
    const std::size_t cr = part.substr(0, lf).find('\r');
    if (cr != std::string_view::npos) return from + cr;
    if (lf != std::string_view::npos) return from + lf;
  }
  return std::string_view::npos;
}

void release(std::string& text) { std::string().swap(text); }  // clear() and assignment may keep the memory

// A stream whose events keep being split needs its buffers again at once; only a large one is given back.
void clear(std::string& text) {
  constexpr std::size_t max_idle_bytes = 4096;
  if (text.capacity() > max_idle_bytes) release(text);
  text.clear();
}

}  // namespace

bool SseParser::next(std::string_view& input, SseEvent& event) {
  if (was_given_) drop_event();
  if (too_large_) {
    input = {};
    return false;
  }
  if (n_mark_bytes_ < kByteOrderMark.size()) skip_byte_order_mark(input);
  if (take_plain_event(input, event)) return true;

  std::string_view line;
  bool is_whole = false;
  while (take_line(input, line, is_whole)) {
    if (line.size() > kMaxEventBytes) return refuse_as_too_large(input);
    if (!line.empty()) {
      read_line(line, is_whole);
      if (!is_whole) clear(line_);
      if (kept_data_.size() > kMaxEventBytes) return refuse_as_too_large(input);
    } else if (has_data_) {
      give(event);
      return true;
    } else {
      drop_event();
    }
  }
  if (line_.size() > kMaxEventBytes) return refuse_as_too_large(input);
  keep_views();
  return false;
}

bool SseParser::finish(SseEvent& event) {
  if (was_given_) drop_event();
  if (too_large_) return false;
  if (!line_.empty()) {
    read_line(line_, false);
    clear(line_);
  }
  if (kept_data_.size() > kMaxEventBytes) {
    too_large_ = true;
    drop_event();
  }
  if (!has_data_) return false;
  give(event);
  return true;
}

void SseParser::reset() {
  for (std::string* buffer : {&kept_data_, &kept_type_, &line_}) release(*buffer);
  *this = SseParser();
}

void SseParser::skip_byte_order_mark(std::string_view& input) {
  while (n_mark_bytes_ < kByteOrderMark.size() && !input.empty()) {
    if (input.front() != kByteOrderMark[n_mark_bytes_]) {
      line_.assign(kByteOrderMark.substr(0, n_mark_bytes_));  // no mark after all: these bytes begin the first line
      n_mark_bytes_ = static_cast<std::uint8_t>(kByteOrderMark.size());
      return;
    }
    input.remove_prefix(1);
    ++n_mark_bytes_;
  }
}

// One line of data and its blank line, whole in the input and with nothing begun before it: what most events are.
bool SseParser::take_plain_event(std::string_view& input, SseEvent& event) const {
  constexpr std::string_view begin = "data: ";
  constexpr std::size_t longest = 4096;  // where lines end in CR alone there may be no LF for long
  const bool is_between_events = !has_data_ && line_.empty() && !skip_line_feed_ && type_.empty() && kept_type_.empty();
  if (!is_between_events || !input.starts_with(begin)) return false;
  const std::size_t end = input.substr(0, longest).find('\n');
  if (end == std::string_view::npos || end + 1 >= input.size() || input[end + 1] != '\n' || end > kMaxEventBytes)
    return false;
  const std::string_view data = input.substr(begin.size(), end - begin.size());
  if (data.find('\r') != std::string_view::npos) return false;  // a line end in its own right
  event = {data, {}};
  input.remove_prefix(end + 2);
  return true;
}

// True: `line` is complete, and `is_whole` when it lies in the input, else in line_. False: the input is used up.
bool SseParser::take_line(std::string_view& input, std::string_view& line, bool& is_whole) {
  if (skip_line_feed_ && !input.empty()) {
    skip_line_feed_ = false;
    if (input.front() == '\n') input.remove_prefix(1);
  }
  const std::size_t end = find_line_end(input);
  if (end == std::string_view::npos) {
    line_.append(input);
    input = {};
    return false;
  }
  skip_line_feed_ = input[end] == '\r';
  line = input.substr(0, end);
  is_whole = line_.empty();
  if (!is_whole) line = line_.append(line);
  input.remove_prefix(end + 1);
  return true;
}

void SseParser::read_line(std::string_view line, bool is_whole) {
  constexpr std::string_view data = "data";
  constexpr std::string_view type = "event";
  const bool is_data = line.starts_with(data) && (line.size() == data.size() || line[data.size()] == ':');
  const bool is_type = line.starts_with(type) && (line.size() == type.size() || line[type.size()] == ':');
  if (!is_data && !is_type) return;  // a comment, id:, retry:, or a field nobody defined
  line.remove_prefix(std::min(line.size(), (is_data ? data : type).size() + 1));
  if (!line.empty() && line.front() == ' ') line.remove_prefix(1);

  if (is_type) {
    type_ = is_whole ? line : std::string_view();
    kept_type_.assign(is_whole ? std::string_view() : line);
  } else if (!has_data_ && is_whole) {
    data_ = line;
    has_data_ = true;
  } else {
    keep_views();
    if (has_data_) kept_data_ += '\n';
    kept_data_ += line;
    has_data_ = true;
    data_is_kept_ = true;
  }
}

// The input is about to go: what the event needs of it is copied.
void SseParser::keep_views() {
  if (has_data_ && !data_is_kept_) {
    kept_data_.assign(data_);
    data_is_kept_ = true;
  }
  data_ = {};
  if (!type_.empty()) kept_type_.assign(std::exchange(type_, {}));
}

void SseParser::give(SseEvent& event) {
  event.data = data_is_kept_ ? std::string_view(kept_data_) : data_;
  event.type = type_.empty() ? std::string_view(kept_type_) : type_;
  was_given_ = true;
}

void SseParser::drop_event() {
  was_given_ = false;
  has_data_ = false;
  data_ = {};
  type_ = {};
  if (data_is_kept_) clear(kept_data_);
  data_is_kept_ = false;
  clear(kept_type_);
}

bool SseParser::refuse_as_too_large(std::string_view& input) {
  drop_event();
  release(line_);
  input = {};
  too_large_ = true;
  return false;
}

}  // namespace tokenclock
