#include "tokenclock/http_parser.h"

#include <algorithm>
#include <limits>

namespace tokenclock {

namespace {

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The line ends of a folded header stay inside its value, so they count as blanks here.
constexpr bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

constexpr int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  const char l = lower(c);
  return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

constexpr bool is_token_char(char c) {
  if (is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'z')) return true;
  return c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool equals_ignoring_case(std::string_view text, std::string_view lower_case) {
  return text.size() == lower_case.size() &&
         std::equal(text.begin(), text.end(), lower_case.begin(), [](char a, char b) { return lower(a) == b; });
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

// Takes the text up to `separator` off the front, without the blanks around it.
std::string_view take_item(std::string_view& list, char separator) {
  const std::size_t cut = std::min(list.find(separator), list.size());
  const std::string_view item = trimmed(list.substr(0, cut));
  list.remove_prefix(std::min(cut + 1, list.size()));
  return item;
}

// Where the blank line that ends a header block is over, or npos. Looks for line ends from `from` on.
std::size_t find_head_end(std::string_view text, std::size_t from) {
  for (std::size_t lf = text.find('\n', from); lf != std::string_view::npos; lf = text.find('\n', lf + 1)) {
    if (lf + 1 < text.size() && text[lf + 1] == '\n') return lf + 2;
    if (lf + 2 < text.size() && text[lf + 1] == '\r' && text[lf + 2] == '\n') return lf + 3;
  }
  return std::string_view::npos;
}

// One header line with the lines folded into it, without its last line end. The block ends in a blank line, so every
// line has its end.
std::string_view take_line(std::string_view& block) {
  std::size_t lf = block.find('\n');
  while (lf > 0 && lf + 1 < block.size() && (block[lf + 1] == ' ' || block[lf + 1] == '\t'))
    lf = block.find('\n', lf + 1);
  std::string_view line = block.substr(0, lf);
  block.remove_prefix(lf + 1);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return line;
}

bool has_forbidden_byte(std::string_view value) {
  for (std::size_t i = 0; i < value.size(); ++i) {
    if (value[i] == '\0') return true;
    if (value[i] == '\r' && (i + 1 == value.size() || value[i + 1] != '\n')) return true;
  }
  return false;
}

void release(std::string& text) { std::string().swap(text); }  // clear() and assignment may keep the memory

// What a header block says about its message. Each read_* returns what is wrong, or nullptr.
struct Head {
  int status = 0;
  bool is_http_1_0 = false;
  bool says_close = false;
  bool says_keep_alive = false;
  bool has_transfer_encoding = false;
  bool ends_in_chunked = false;
  bool has_length = false;
  bool is_event_stream = false;
  std::uint64_t length = 0;

  const char* read(std::string_view block) {
    if (const char* wrong = read_status_line(take_line(block))) return wrong;
    for (std::string_view line = take_line(block); !line.empty(); line = take_line(block)) {
      if (const char* wrong = read_field(line)) return wrong;
    }
    return nullptr;
  }

 private:
  const char* read_status_line(std::string_view line) {
    constexpr std::string_view form = "HTTP/1.x NNN";
    if (line.size() < form.size() || !is_digit(line[7]) || line[8] != ' ' || line[9] == '0' || !is_digit(line[9]) ||
        !is_digit(line[10]) || !is_digit(line[11]) || (line.size() > form.size() && line[12] != ' ') ||
        line.find('\n') != std::string_view::npos || has_forbidden_byte(line)) {
      return "malformed status line: expected HTTP/1.x and three digits";
    }
    is_http_1_0 = line[7] == '0';
    status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
    return nullptr;
  }

  const char* read_field(std::string_view line) {
    const std::size_t colon = line.find(':');
    const std::string_view name = line.substr(0, std::min(colon, line.size()));
    if (colon == std::string_view::npos || name.empty() || !std::all_of(name.begin(), name.end(), is_token_char)) {
      return "malformed header line: expected 'Name: value'";
    }
    if (has_forbidden_byte(line)) return "malformed header line: bare CR or NUL inside";
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (equals_ignoring_case(name, "content-length")) return read_length(value);
    if (equals_ignoring_case(name, "transfer-encoding")) return read_transfer_encoding(value);
    if (equals_ignoring_case(name, "connection")) read_connection(value);
    if (equals_ignoring_case(name, "content-type")) read_content_type(value);
    return nullptr;
  }

  const char* read_length(std::string_view list) {
    constexpr std::uint64_t limit = std::numeric_limits<std::int64_t>::max();
    if (list.empty() || list.back() == ',') return "Content-Length is empty";
    while (!list.empty()) {
      const std::string_view item = take_item(list, ',');
      std::uint64_t value = 0;
      for (const char c : item) {
        if (!is_digit(c)) return "Content-Length is not a whole number";
        const auto digit = static_cast<std::uint64_t>(c - '0');
        if (value > (limit - digit) / 10) return "Content-Length is 2^63 or more";
        value = value * 10 + digit;
      }
      if (item.empty()) return "Content-Length is empty";
      if (has_length && value != length) return "Content-Length values disagree";
      has_length = true;
      length = value;
    }
    return nullptr;
  }

  const char* read_transfer_encoding(std::string_view list) {
    while (!list.empty()) {
      std::string_view item = take_item(list, ',');
      const std::string_view coding = take_item(item, ';');
      if (coding.empty() || equals_ignoring_case(coding, "identity")) continue;
      if (ends_in_chunked) return "Transfer-Encoding goes on after chunked";
      has_transfer_encoding = true;
      ends_in_chunked = equals_ignoring_case(coding, "chunked");
    }
    return nullptr;
  }

  void read_connection(std::string_view list) {
    while (!list.empty()) {
      const std::string_view option = take_item(list, ',');
      if (equals_ignoring_case(option, "close")) says_close = true;
      if (equals_ignoring_case(option, "keep-alive")) says_keep_alive = true;
    }
  }

  void read_content_type(std::string_view value) {
    is_event_stream = equals_ignoring_case(take_item(value, ';'), "text/event-stream");
  }
};

}  // namespace

HttpResponseParser::Step HttpResponseParser::next(std::string_view& input) {
  body_ = {};
  for (;;) {
    switch (state_) {
      case State::head:
        if (read_head(input)) return step_;
        break;  // an interim response (1xx) was skipped
      case State::body_length:
      case State::chunk_data: {
        if (input.empty()) return Step::need_more;
        const std::size_t n = input.size() < remaining_ ? input.size() : static_cast<std::size_t>(remaining_);
        body_ = input.substr(0, n);
        input.remove_prefix(n);
        remaining_ -= n;
        if (remaining_ == 0) state_ = state_ == State::chunk_data ? State::chunk_end : State::ended;
        return Step::body;
      }
      case State::body_until_close:
        if (input.empty()) return Step::need_more;
        body_ = input;
        input = {};
        return Step::body;
      case State::chunk_size:
      case State::chunk_end:
        if (input.empty()) return Step::need_more;
        if (!take_plain_frame(input)) read_chunk_frame(input);
        break;
      case State::chunk_extension:
      case State::chunk_size_lf:
      case State::chunk_end_lf:
        if (input.empty()) return Step::need_more;
        read_chunk_frame(input);
        break;
      case State::trailers:
        if (input.empty()) return Step::need_more;
        read_trailers(input);
        break;
      case State::ended:
        return Step::complete;
      case State::failed:
        return Step::error;
    }
  }
}

bool HttpResponseParser::read_head(std::string_view& input) {
  while (held_.empty() && !input.empty() && (input.front() == '\r' || input.front() == '\n')) {
    if (!count_line_byte("nothing but blank lines before a status line")) return true;
    input.remove_prefix(1);
  }
  step_ = Step::need_more;
  if (input.empty()) return true;
  started_ = true;

  const std::size_t limit = kMaxHeaderBytes - counted_bytes_;
  const std::size_t n_held = held_.size();
  if (n_held > 0) held_.append(input.substr(0, limit - n_held));
  const std::string_view seen = n_held > 0 ? std::string_view(held_) : input.substr(0, limit);
  constexpr std::string_view protocol = "HTTP/1.";
  const std::size_t n_known = std::min(seen.size(), protocol.size());
  if (seen.substr(0, n_known) != protocol.substr(0, n_known)) {
    fail("not an HTTP/1.x response: expected a status line");
    return true;
  }
  const std::size_t end = find_head_end(seen, n_held < 2 ? 0 : n_held - 2);
  if (end == std::string_view::npos) {
    if (seen.size() >= limit) {
      fail("header block longer than 64 KiB");
      return true;
    }
    if (n_held == 0) held_.assign(seen);
    input = {};
    return true;
  }
  input.remove_prefix(end - n_held);
  counted_bytes_ += static_cast<std::uint32_t>(end);
  const bool has_step = take_head(seen.substr(0, end));
  release(held_);
  return has_step;
}

bool HttpResponseParser::take_head(std::string_view block) {
  Head head;
  if (const char* wrong = head.read(block)) {
    fail(wrong);
    return true;
  }
  if (head.status == 101) {
    fail("101 Switching Protocols, which was not asked for");
    return true;
  }
  if (head.status < 200) return false;

  status_ = head.status;
  is_event_stream_ = head.is_event_stream;
  keep_alive_ = !head.says_close && (head.says_keep_alive || !head.is_http_1_0);
  if (status_ == 204 || status_ == 304) {
    state_ = State::ended;
  } else if (head.ends_in_chunked) {
    state_ = State::chunk_size;
    if (head.has_length || head.is_http_1_0) keep_alive_ = false;
  } else if (head.has_length && !head.has_transfer_encoding) {
    remaining_ = head.length;
    state_ = remaining_ > 0 ? State::body_length : State::ended;
  } else {
    state_ = State::body_until_close;
    keep_alive_ = false;
  }
  step_ = Step::headers;
  return true;
}

// The same bytes as nearly every server writes them, and whole in the input. False: nothing was taken.
bool HttpResponseParser::take_plain_frame(std::string_view& input) {
  const char* at = input.data();
  const char* const end = at + input.size();
  if (state_ == State::chunk_end) {
    if (end - at < 2 || at[0] != '\r' || at[1] != '\n') return false;
    input.remove_prefix(2);
    state_ = State::chunk_size;
    return true;
  }
  if (n_size_digits_ != 0) return false;  // it began in an earlier input
  constexpr int most_digits = 8;
  std::uint64_t size = 0;
  int n_digits = 0;
  for (int digit = 0; at != end && n_digits <= most_digits && (digit = hex_value(*at)) >= 0; ++at, ++n_digits) {
    size = (size << 4) | static_cast<std::uint64_t>(digit);
  }
  if (n_digits == 0 || n_digits > most_digits || end - at < 2 || at[0] != '\r' || at[1] != '\n') return false;
  input.remove_prefix(static_cast<std::size_t>(at + 2 - input.data()));
  remaining_ = size;
  state_ = size > 0 ? State::chunk_data : State::trailers;
  counted_bytes_ = 0;
  trailer_line_empty_ = true;
  return true;
}

// The bytes between two pieces of chunk data, one state a stop: CRLF of the last piece, size, extension, CRLF.
void HttpResponseParser::read_chunk_frame(std::string_view& input) {
  const char* at = input.data();
  const char* const end = at + input.size();
  while (at != end && state_ != State::failed) {
    const char c = *at;
    if (state_ == State::chunk_size) {
      const int digit = hex_value(c);
      if (digit >= 0 && n_size_digits_ < 16) {
        ++n_size_digits_;
        remaining_ = (remaining_ << 4) | static_cast<std::uint64_t>(digit);
        ++at;
        continue;
      }
      if (n_size_digits_ == 0 || (c != '\r' && c != '\n' && c != ';' && c != ' ' && c != '\t')) {
        fail(digit >= 0 ? "chunk size is out of range" : "chunk size is not a hexadecimal number");
        break;
      }
      n_size_digits_ = 0;
      counted_bytes_ = 0;
      state_ = State::chunk_extension;
    }
    ++at;
    const bool is_after_size = state_ == State::chunk_extension || state_ == State::chunk_size_lf;
    if (c == '\n' && is_after_size) {
      state_ = remaining_ > 0 ? State::chunk_data : State::trailers;
      counted_bytes_ = 0;
      trailer_line_empty_ = true;
      break;
    }
    if (c == '\n') {
      state_ = State::chunk_size;
    } else if (state_ == State::chunk_size_lf || state_ == State::chunk_end_lf) {
      fail("expected LF after CR in the chunked framing");
    } else if (c == '\r') {
      state_ = is_after_size ? State::chunk_size_lf : State::chunk_end_lf;
    } else if (state_ == State::chunk_end) {
      fail("chunk data is longer than its size said");
    } else {
      count_line_byte("chunk extension longer than 64 KiB");
    }
  }
  input.remove_prefix(static_cast<std::size_t>(at - input.data()));
}

void HttpResponseParser::read_trailers(std::string_view& input) {
  while (!input.empty()) {
    const char c = input.front();
    input.remove_prefix(1);
    if (c == '\n' && trailer_line_empty_) {
      state_ = State::ended;
      return;
    }
    if (c == '\n') trailer_line_empty_ = true;
    if (c != '\n' && c != '\r') trailer_line_empty_ = false;
    if (!count_line_byte("trailers longer than 64 KiB")) return;
  }
}

HttpResponseParser::Step HttpResponseParser::end_of_stream() {
  body_ = {};
  switch (state_) {
    case State::body_until_close:
      state_ = State::ended;
      return Step::complete;
    case State::ended:
      return Step::complete;
    case State::failed:
      return Step::error;
    case State::head:
      return fail(started_ ? "truncated header: the connection closed inside it"
                           : "the connection closed before any response byte");
    default:
      return fail("truncated body: the connection closed before its end");
  }
}

void HttpResponseParser::reset() {
  release(held_);
  *this = HttpResponseParser();
}

bool HttpResponseParser::count_line_byte(const char* message) {
  if (++counted_bytes_ < kMaxHeaderBytes) return true;
  fail(message);
  return false;
}

HttpResponseParser::Step HttpResponseParser::fail(const char* message) {
  release(held_);
  error_ = message;
  keep_alive_ = false;
  state_ = State::failed;
  step_ = Step::error;
  return Step::error;
}

}  // namespace tokenclock
