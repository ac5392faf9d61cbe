#include "json_scanner.h"

#include "tokenclock/event_json.h"

namespace tokenclock {

namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// The four hexadecimal digits of a \u escape at the front of `text`, or -1.
int read_hex4(std::string_view text) {
  if (text.size() < 4) return -1;
  int unit = 0;
  for (const char c : text.substr(0, 4)) {
    const int digit = hex_digit(c);
    if (digit < 0) return -1;
    unit = unit * 16 + digit;
  }
  return unit;
}

bool is_high_surrogate(int unit) { return unit >= 0xD800 && unit <= 0xDBFF; }
bool is_low_surrogate(int unit) { return unit >= 0xDC00 && unit <= 0xDFFF; }

// Writes the UTF-8 form, at most four bytes; returns how many.
std::size_t encode(int code, char* out) {
  const auto byte = [](int value) { return static_cast<char>(static_cast<unsigned char>(value)); };
  if (code < 0x80) {
    out[0] = byte(code);
    return 1;
  }
  if (code < 0x800) {
    out[0] = byte(0xC0 | (code >> 6));
    out[1] = byte(0x80 | (code & 0x3F));
    return 2;
  }
  if (code < 0x10000) {
    out[0] = byte(0xE0 | (code >> 12));
    out[1] = byte(0x80 | ((code >> 6) & 0x3F));
    out[2] = byte(0x80 | (code & 0x3F));
    return 3;
  }
  out[0] = byte(0xF0 | (code >> 18));
  out[1] = byte(0x80 | ((code >> 12) & 0x3F));
  out[2] = byte(0x80 | ((code >> 6) & 0x3F));
  out[3] = byte(0x80 | (code & 0x3F));
  return 4;
}

// Takes one escape (at its backslash) off the front of `text`; returns its character. What is no escape, or half a
// surrogate pair, becomes U+FFFD, so that any bytes may come in.
int take_escape(std::string_view& text) {
  constexpr int replacement = 0xFFFD;
  if (text.size() < 2) {
    text.remove_prefix(text.size());
    return replacement;
  }
  const char kind = text[1];
  text.remove_prefix(2);
  switch (kind) {
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case '"':
    case '\\':
    case '/':
      return kind;
    case 'u':
      break;
    default:
      return replacement;
  }
  const int unit = read_hex4(text);
  if (unit < 0) return replacement;
  text.remove_prefix(4);
  if (is_low_surrogate(unit)) return replacement;
  if (!is_high_surrogate(unit)) return unit;
  if (text.size() < 6 || text[0] != '\\' || text[1] != 'u') return replacement;
  const int low = read_hex4(text.substr(2));
  if (!is_low_surrogate(low)) return replacement;
  text.remove_prefix(6);
  return 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
}

}  // namespace

void append_unescaped(std::string_view raw, std::string& out) {
  for (;;) {
    const std::size_t plain = raw.find('\\');
    out.append(raw.substr(0, plain));
    if (plain == std::string_view::npos) return;
    raw.remove_prefix(plain);
    char character[4];
    out.append(character, encode(take_escape(raw), character));
  }
}

namespace detail {

std::string_view JsonScanner::unescape_short(std::string_view inside, char* buffer, std::size_t size) noexcept {
  std::size_t used = 0;
  while (!inside.empty()) {
    if (used + 4 > size) return {};
    if (inside.front() == '\\') {
      used += encode(take_escape(inside), buffer + used);
    } else {
      buffer[used++] = inside.front();
      inside.remove_prefix(1);
    }
  }
  return {buffer, used};
}

bool JsonScanner::skip_escape() noexcept {
  if (end_ - at_ < 2) return false;
  const char kind = at_[1];
  at_ += 2;
  if (kind == 'u') {
    if (read_hex4({at_, static_cast<std::size_t>(end_ - at_)}) < 0) return false;
    at_ += 4;
    return true;
  }
  return kind != '\0' && std::string_view("\"\\/bfnrt").find(kind) != std::string_view::npos;
}

// One character of two to four bytes, as RFC 3629 allows them: no overlong forms, no surrogates, none past U+10FFFF.
bool JsonScanner::skip_multibyte() noexcept {
  const auto byte = [this](int i) { return static_cast<unsigned char>(at_[i]); };
  const unsigned char first = byte(0);
  if (first < 0xC2 || first > 0xF4) return false;
  const int n = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  if (end_ - at_ < n) return false;
  unsigned char lowest = 0x80;
  unsigned char highest = 0xBF;
  if (first == 0xE0) lowest = 0xA0;
  if (first == 0xED) highest = 0x9F;
  if (first == 0xF0) lowest = 0x90;
  if (first == 0xF4) highest = 0x8F;
  if (byte(1) < lowest || byte(1) > highest) return false;
  for (int i = 2; i < n; ++i) {
    if (byte(i) < 0x80 || byte(i) > 0xBF) return false;
  }
  at_ += n;
  return true;
}

bool JsonScanner::skip_word(std::string_view word) noexcept {
  if (static_cast<std::size_t>(end_ - at_) < word.size()) return false;
  if (std::memcmp(at_, word.data(), word.size()) != 0) return false;
  at_ += word.size();
  return true;
}

bool JsonScanner::read_number(std::string_view& text, bool& is_integer) noexcept {
  const char* const begin = at_;
  const auto skip_digits = [this] {
    const char* const first = at_;
    while (at_ != end_ && *at_ >= '0' && *at_ <= '9') ++at_;
    return at_ != first;
  };
  if (peek() == '-') ++at_;
  if (peek() == '0') {
    ++at_;
  } else if (!skip_digits()) {
    return false;
  }
  is_integer = true;
  if (peek() == '.') {
    is_integer = false;
    ++at_;
    if (!skip_digits()) return false;
  }
  if (peek() == 'e' || peek() == 'E') {
    is_integer = false;
    ++at_;
    if (peek() == '+' || peek() == '-') ++at_;
    if (!skip_digits()) return false;
  }
  text = std::string_view(begin, static_cast<std::size_t>(at_ - begin));
  return true;
}

bool JsonScanner::skip_value() noexcept {
  std::string_view text;
  bool is_integer = false;
  switch (peek()) {
    case '"':
      return read_string(text);
    case '{':
      return read_members([this](std::string_view) { return skip_value(); });
    case '[':
      return read_elements([this] { return skip_value(); });
    case 't':
      return skip_word("true");
    case 'f':
      return skip_word("false");
    case 'n':
      return skip_word("null");
    default:
      return read_number(text, is_integer);
  }
}

}  // namespace detail
}  // namespace tokenclock
