#include "tokenclock/paced_http_request.h"

#include <algorithm>
#include <charconv>

namespace tokenclock {

namespace {

constexpr std::size_t kKeptBodyBytes = 1024 * 1024;  // a larger body's memory is given back after its request

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

bool same_word(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Whether a comma-separated header value holds `word`.
bool has_word(std::string_view list, std::string_view word) noexcept {
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    if (same_word(trimmed(list.substr(0, comma)), word)) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

bool whole_number(std::string_view text, int base, std::size_t& value) noexcept {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return error == std::errc{} && end == text.data() + text.size();
}

}  // namespace

void HttpRequestParser::reset() {
  state_ = State::request_line;
  keep_alive_ = true;
  says_close_ = is_http_1_0_ = chunked_ = has_length_ = expects_continue_ = false;
  error_status_ = 0;
  error_ = "";
  n_head_bytes_ = n_left_ = 0;
  line_.clear();
  method_.clear();
  path_.clear();
  authorization_.clear();
  body_.clear();
  if (body_.capacity() > kKeptBodyBytes) body_.shrink_to_fit();
}

HttpRequestParser::Step HttpRequestParser::fail(int status, const char* message) {
  state_ = State::error;
  error_status_ = status;
  error_ = message;
  return Step::error;
}

// A line ends with LF, or CR LF. Collected in line_, without its ending.
bool HttpRequestParser::take_line(std::string_view& input) {
  const std::size_t end = input.find('\n');
  const std::size_t n_taken = end == std::string_view::npos ? input.size() : end + 1;
  n_head_bytes_ += n_taken;
  if (n_head_bytes_ > kMaxHeadBytes) {
    fail(431, "the request head is larger than 64 KiB");
    return false;
  }
  line_.append(input.substr(0, end == std::string_view::npos ? n_taken : end));
  input.remove_prefix(n_taken);
  if (end == std::string_view::npos) return false;
  if (!line_.empty() && line_.back() == '\r') line_.pop_back();
  return true;
}

bool HttpRequestParser::read_request_line() {
  const std::string_view line = line_;
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == 0 || last <= first + 1) {
    fail(400, "the request line is not METHOD TARGET VERSION");
    return false;
  }
  const std::string_view version = line.substr(last + 1);
  if (version != "HTTP/1.1" && version != "HTTP/1.0") {
    const bool other_version = version.substr(0, 5) == "HTTP/";
    fail(other_version ? 505 : 400,
         other_version ? "only HTTP/1.0 and HTTP/1.1 are spoken here" : "not an HTTP request line");
    return false;
  }
  is_http_1_0_ = version == "HTTP/1.0";
  keep_alive_ = !is_http_1_0_;
  method_ = line.substr(0, first);
  std::string_view target = line.substr(first + 1, last - first - 1);
  if (target.find(' ') != std::string_view::npos) {
    fail(400, "the request target holds a space");
    return false;
  }
  // absolute form, as sent to a proxy: the path is what follows the authority
  if (const std::size_t scheme = target.find("://"); target.front() != '/' && scheme != std::string_view::npos) {
    const std::size_t slash = target.find('/', scheme + 3);
    target = slash == std::string_view::npos ? std::string_view("/") : target.substr(slash);
  }
  path_ = target.substr(0, target.find('?'));
  return true;
}

bool HttpRequestParser::read_header() {
  const std::string_view line = line_;
  const std::size_t colon = line.find(':');
  const bool well_formed = colon != std::string_view::npos && colon > 0 &&
                           line.substr(0, colon).find_first_of(" \t") == std::string_view::npos;
  if (!well_formed) {
    fail(400, "a header line is not NAME: VALUE");
    return false;
  }
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = trimmed(line.substr(colon + 1));
  if (same_word(name, "content-length")) {
    std::size_t length = 0;
    if (!whole_number(value, 10, length) || (has_length_ && length != n_left_)) {
      fail(400, "Content-Length is not one whole number");
      return false;
    }
    if (length > kMaxBodyBytes) {
      fail(413, "the request body is larger than 64 MiB");
      return false;
    }
    n_left_ = length;
    has_length_ = true;
  } else if (same_word(name, "transfer-encoding")) {
    if (!same_word(value, "chunked")) {
      fail(501, "the only transfer coding known here is chunked");
      return false;
    }
    chunked_ = true;
  } else if (same_word(name, "connection")) {
    says_close_ = says_close_ || has_word(value, "close");  // which wins, wherever it stands
    keep_alive_ = !says_close_ && (keep_alive_ || has_word(value, "keep-alive"));
  } else if (same_word(name, "authorization")) {
    authorization_ = value;
  } else if (same_word(name, "expect")) {
    expects_continue_ = same_word(value, "100-continue");
  }
  return true;
}

HttpRequestParser::Step HttpRequestParser::end_of_head() {
  if (chunked_ && has_length_) return fail(400, "Content-Length and Transfer-Encoding exclude each other");
  if (chunked_) {
    state_ = State::chunk_size;
  } else if (n_left_ > 0) {
    state_ = State::body;
    body_.reserve(std::min(n_left_, kKeptBodyBytes));
  } else {
    state_ = State::complete;
    return Step::complete;
  }
  return expects_continue_ ? Step::continue_wanted : Step::need_more;
}

bool HttpRequestParser::read_chunk_size() {
  const std::string_view digits = trimmed(std::string_view(line_).substr(0, line_.find(';')));
  if (digits.empty() || !whole_number(digits, 16, n_left_)) {
    fail(400, "a chunk size is not a hexadecimal number");
    return false;
  }
  if (n_left_ > kMaxBodyBytes - body_.size()) {
    fail(413, "the request body is larger than 64 MiB");
    return false;
  }
  state_ = n_left_ > 0 ? State::chunk_data : State::trailer;
  return true;
}

HttpRequestParser::Step HttpRequestParser::next(std::string_view& input) {
  while (true) {
    switch (state_) {
      case State::complete:
        return Step::complete;
      case State::error:
        return Step::error;
      case State::body:
      case State::chunk_data: {
        if (input.empty()) return Step::need_more;
        const std::size_t n_taken = std::min(n_left_, input.size());
        body_.append(input.substr(0, n_taken));
        input.remove_prefix(n_taken);
        n_left_ -= n_taken;
        if (n_left_ > 0) return Step::need_more;
        state_ = state_ == State::body ? State::complete : State::chunk_end;
        continue;
      }
      default:
        break;
    }
    if (!take_line(input)) return state_ == State::error ? Step::error : Step::need_more;
    switch (state_) {
      case State::request_line:
        // a blank line before the request line is allowed, and some clients send one after a body
        if (!line_.empty()) {
          if (!read_request_line()) return Step::error;
          state_ = State::header;
        }
        break;
      case State::header:
        if (!line_.empty()) {
          if (!read_header()) return Step::error;
        } else if (const Step step = end_of_head(); step != Step::need_more) {
          line_.clear();
          return step;
        }
        break;
      case State::chunk_size:
        if (!read_chunk_size()) return Step::error;
        n_head_bytes_ = 0;  // the limit is on the head and on each line after it, not on their sum
        break;
      case State::chunk_end:
        if (!line_.empty()) return fail(400, "a chunk is longer than its size says");
        state_ = State::chunk_size;
        break;
      case State::trailer:
        if (line_.empty()) state_ = State::complete;
        break;
      default:
        break;
    }
    line_.clear();
  }
}

}  // namespace tokenclock
