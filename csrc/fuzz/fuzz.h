// What the fuzzers share. Each defines LLVMFuzzerTestOneInput and checks properties, not only that nothing crashes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#define FUZZ_HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FUZZ_HAS_ASAN 1
#endif
#endif
#ifdef FUZZ_HAS_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) (static_cast<void>(address), static_cast<void>(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) (static_cast<void>(address), static_cast<void>(size))
#endif

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

// A failed property ends the process, as libFuzzer expects of a finding.
#define FUZZ_CHECK(condition)                                                               \
  do {                                                                                      \
    if (!(condition)) {                                                                     \
      std::fprintf(stderr, "%s:%d: property failed: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                         \
    }                                                                                       \
  } while (0)

namespace fuzz {

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// Choices that follow from the input alone, so that a finding comes back whenever its input is run.
class Dice {
 public:
  explicit Dice(std::string_view input) {
    for (const char c : input) state_ = (state_ ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  std::size_t below(std::size_t n) {
    state_ += 0x9e3779b97f4a7c15;
    std::uint64_t mixed = state_;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    return n == 0 ? 0 : static_cast<std::size_t>((mixed ^ (mixed >> 31)) % n);
  }

 private:
  std::uint64_t state_ = 0xcbf29ce484222325;
};

using Pieces = std::vector<std::string_view>;

inline Pieces in_steps(std::string_view text, std::size_t n_bytes) {
  Pieces pieces;
  for (std::size_t at = 0; at < text.size(); at += n_bytes) pieces.push_back(text.substr(at, n_bytes));
  return pieces;
}

// One byte; for most of the long inputs more, which would take most of a fuzzer's time otherwise.
inline std::size_t small_step(std::string_view text, Dice& dice) {
  return text.size() <= 512 || dice.below(4) == 0 ? 1 : 2 + dice.below(30);
}

// In up to six pieces, some of them empty, or in steps of a few bytes.
inline Pieces cut(std::string_view text, Dice& dice) {
  if (dice.below(4) == 0) return in_steps(text, 2 + dice.below(30));
  Pieces pieces;
  for (std::size_t n_left = dice.below(6); n_left > 0; --n_left) {
    const std::size_t n = dice.below(text.size() + 1);
    pieces.push_back(text.substr(0, n));
    text.remove_prefix(n);
  }
  pieces.push_back(text);
  return pieces;
}

// Memory that only its owner's last text may be read from; AddressSanitizer sees every read past it or after drop().
class GuardedMemory {
 public:
  explicit GuardedMemory(std::size_t n_bytes) : n_bytes_(n_bytes + 16), bytes_(new char[n_bytes_]) {
    ASAN_POISON_MEMORY_REGION(bytes_.get(), n_bytes_);
  }
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;
  ~GuardedMemory() { ASAN_UNPOISON_MEMORY_REGION(bytes_.get(), n_bytes_); }

  std::string_view keep(std::string_view text) {
    ASAN_UNPOISON_MEMORY_REGION(bytes_.get(), text.size());
    std::copy(text.begin(), text.end(), bytes_.get());
    return {bytes_.get(), text.size()};
  }
  void drop() { ASAN_POISON_MEMORY_REGION(bytes_.get(), n_bytes_); }

 private:
  std::size_t n_bytes_;
  std::unique_ptr<char[]> bytes_;
};

// Calls use(view) for each piece in memory that is gone afterwards, until use() returns false; true when all were used.
// Cheaper than an allocation a piece, by much.
template <typename Use>
bool for_each_piece(const Pieces& pieces, Use&& use) {
  std::size_t longest = 0;
  for (const std::string_view piece : pieces) longest = std::max(longest, piece.size());
  GuardedMemory memory[2] = {GuardedMemory(longest), GuardedMemory(longest)};  // in turn, so that old views do show
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const bool goes_on = use(memory[i % 2].keep(pieces[i]));
    memory[i % 2].drop();
    if (!goes_on) return false;
  }
  return true;
}

// Whether `text` is UTF-8 as RFC 3629 has it; slow and plain on purpose, and not the scanner's own code.
inline bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(text[k]); };
    const unsigned lead = byte(i);
    const std::size_t n = lead < 0x80 ? 1 : lead >> 5 == 6 ? 2 : lead >> 4 == 14 ? 3 : lead >> 3 == 30 ? 4 : 0;
    if (n == 0 || n > text.size() - i) return false;
    std::uint32_t code = n == 1 ? lead : lead & (0xffu >> (n + 1));
    for (std::size_t k = 1; k < n; ++k) {
      if (byte(i + k) >> 6 != 2) return false;
      code = code << 6 | (byte(i + k) & 0x3fu);
    }
    constexpr std::uint32_t first_of_length[] = {0, 0, 0x80, 0x800, 0x10000};
    if (code < first_of_length[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return false;
    i += n;
  }
  return true;
}

}  // namespace fuzz
