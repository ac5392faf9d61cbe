// A strict JSON (RFC 8259) reader over bytes in memory: it walks, checks and hands out views; it builds nothing.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace tokenclock::detail {

// Every reader returns false at the first byte that is not JSON; where the scanner stands then is of no meaning.
// Stricter than Python's json: no NaN or Infinity, no nesting deeper than kMaxDepth. As loose as it: lone surrogates in
// escapes, duplicate keys.
class JsonScanner {
 public:
  static constexpr int kMaxDepth = 64;

  explicit JsonScanner(std::string_view text) noexcept : at_(text.data()), end_(text.data() + text.size()) {}

  [[nodiscard]] char peek() const noexcept { return at_ == end_ ? '\0' : *at_; }
  [[nodiscard]] bool at_end() const noexcept { return at_ == end_; }
  [[nodiscard]] const char* position() const noexcept { return at_; }

  void skip_space() noexcept {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) ++at_;
  }

  // At '"': `inside` is what lies between the quotes, still escaped.
  bool read_string(std::string_view& inside) noexcept {
    bool has_escape = false;
    return read_string(inside, has_escape);
  }

  bool read_string(std::string_view& inside, bool& has_escape) noexcept {
    const char* const begin = ++at_;
    for (;;) {
      skip_plain_characters();
      if (at_ == end_) return false;
      if (*at_ == '"') {
        inside = std::string_view(begin, static_cast<std::size_t>(at_ - begin));
        ++at_;
        return true;
      }
      if (*at_ == '\\') {
        has_escape = true;
        if (!skip_escape()) return false;
      } else if (!skip_multibyte()) {  // also refuses a raw control character
        return false;
      }
    }
  }

  bool read_number(std::string_view& text, bool& is_integer) noexcept;
  bool skip_value() noexcept;

  // A key or a word out of a short list, for comparing: as it is where it has no escape, else unescaped into `buffer`,
  // or "" where that is too small (then it is none of the names we know).
  static std::string_view unescaped(std::string_view inside, char* buffer, std::size_t size) noexcept {
    return inside.find('\\') == std::string_view::npos ? inside : unescape_short(inside, buffer, size);
  }

  // At '{': calls on_member(key) for every member, standing at the first byte of its value; it reads the value. Keys
  // arrive unescaped, as unescaped() does it.
  template <typename OnMember>
  bool read_members(OnMember&& on_member) noexcept {
    if (!enter()) return false;
    if (peek() == '}') return leave();
    for (;;) {
      if (peek() != '"') return false;
      std::string_view key;
      bool has_escape = false;
      if (!read_string(key, has_escape)) return false;
      char decoded[48];
      if (has_escape) [[unlikely]]
        key = unescape_short(key, decoded, sizeof decoded);
      skip_space();
      if (peek() != ':') return false;
      ++at_;
      skip_space();
      if (!on_member(key)) return false;
      skip_space();
      const char c = peek();
      if (c == '}') return leave();
      if (c != ',') return false;
      ++at_;
      skip_space();
    }
  }

  // At '[': calls on_element() for every element, standing at its first byte; it reads the element.
  template <typename OnElement>
  bool read_elements(OnElement&& on_element) noexcept {
    if (!enter()) return false;
    if (peek() == ']') return leave();
    for (;;) {
      if (!on_element()) return false;
      skip_space();
      const char c = peek();
      if (c == ']') return leave();
      if (c != ',') return false;
      ++at_;
      skip_space();
    }
  }

 private:
  bool enter() noexcept {
    ++at_;
    skip_space();
    return ++depth_ <= kMaxDepth;
  }

  bool leave() noexcept {
    ++at_;
    --depth_;
    return true;
  }

  // On to the next quote, backslash, control character or non-ASCII byte, eight bytes a step.
  void skip_plain_characters() noexcept {
    constexpr std::uint64_t ones = 0x0101010101010101;
    constexpr std::uint64_t tops = ones * 0x80;
    if constexpr (std::endian::native == std::endian::little) {
      while (end_ - at_ >= 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, at_, sizeof word);
        // A byte of x is zero where ((x - ones) & ~x) has its top bit; a borrow can only mislead above a true hit.
        const std::uint64_t quote = word ^ (ones * '"');
        const std::uint64_t backslash = word ^ (ones * '\\');
        const std::uint64_t hits =
            (((quote - ones) & ~quote) | ((backslash - ones) & ~backslash) | ((word - ones * 0x20) & ~word) | word) &
            tops;
        if (hits != 0) {
          at_ += std::countr_zero(hits) / 8;
          return;
        }
        at_ += 8;
      }
    }
    while (at_ != end_) {
      const auto byte = static_cast<unsigned char>(*at_);
      if (byte == '"' || byte == '\\' || byte < 0x20 || byte >= 0x80) return;
      ++at_;
    }
  }

  bool skip_escape() noexcept;
  bool skip_multibyte() noexcept;
  bool skip_word(std::string_view word) noexcept;
  static std::string_view unescape_short(std::string_view inside, char* buffer, std::size_t size) noexcept;

  const char* at_;
  const char* end_;
  int depth_ = 0;
};

}  // namespace tokenclock::detail
