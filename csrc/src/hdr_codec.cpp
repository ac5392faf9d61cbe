#include "tokenclock/hdr_codec.h"

#include <limits>
#include <utility>

namespace tokenclock {
namespace {

constexpr std::int64_t kInt64Max = std::numeric_limits<std::int64_t>::max();
constexpr std::size_t kV0HeaderBytes = 32;
constexpr std::size_t kMaxWordBytes = 9;  // eight groups of 7 bits, and a last one of 8

constexpr std::uint32_t kWordSizeMask = 0xf0;  // part of the cookie
constexpr std::uint32_t kV0Cookie = 0x1c849308;
constexpr std::uint32_t kV1Cookie = 0x1c849301;
constexpr std::uint32_t kV2Cookie = 0x1c849303;
constexpr std::uint32_t kV2WordSize = 0x10;              // what all writers of version 2 put there
constexpr std::uint64_t kRatioOne = 0x3ff0000000000000;  // 1.0

using Bytes = std::span<const std::uint8_t>;

[[noreturn]] void reject(std::size_t offset, const std::string& what) { throw HdrPayloadError(offset, what); }

// What the header says.
struct Header {
  std::uint32_t version;
  std::size_t word_bytes;  // of a count in versions 0 and 1
  std::size_t size_bytes;
  std::int64_t lowest;
  std::int64_t highest;
  std::int64_t significant_digits;
  std::size_t n_buckets;
};

std::uint64_t big_endian(Bytes bytes, std::size_t offset, std::size_t size_bytes) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < size_bytes; ++i) number = number << 8 | bytes[offset + i];
  return number;
}

void append_big_endian(std::vector<std::uint8_t>& bytes, std::uint64_t number, int size_bytes) {
  for (int shift = 8 * (size_bytes - 1); shift >= 0; shift -= 8) {
    bytes.push_back(static_cast<std::uint8_t>(number >> shift));
  }
}

std::string hex(std::uint64_t number) {
  std::string text = "0x00000000";
  for (auto digit = text.rbegin(); number != 0; ++digit, number >>= 4) *digit = "0123456789abcdef"[number & 15];
  return text;
}

// Which field is to blame is known by its number alone; the rule itself is HdrHistogram's.
std::size_t checked_bucket_count(const Header& header, std::size_t digits_offset, std::size_t lowest_offset) {
  try {
    return HdrHistogram::bucket_count(header.lowest, header.highest, header.significant_digits);
  } catch (const std::invalid_argument& error) {
    const std::string what = error.what();
    const bool is_digits = what.starts_with("significant_digits");
    const bool is_lowest = what.starts_with("lowest");
    reject(is_digits ? digits_offset : lowest_offset + (is_lowest ? 0 : 8), what);
  }
}

Header read_header(Bytes bytes) {
  if (bytes.size() < 4) {
    reject(bytes.size(), "expected a histogram of at least " + std::to_string(kV0HeaderBytes) + " bytes, got " +
                             std::to_string(bytes.size()) + "; it is cut off");
  }
  Header header{};
  const auto cookie = static_cast<std::uint32_t>(big_endian(bytes, 0, 4));
  header.word_bytes = (cookie & kWordSizeMask) >> 4;
  switch (cookie & ~kWordSizeMask) {
    case kV0Cookie:
      header.version = 0;
      break;
    case kV1Cookie:
      header.version = 1;
      break;
    case kV2Cookie:
      header.version = 2;
      break;
    default:
      reject(0, "expected the cookie of an HDR histogram (0x1c849308, 0x1c849301 or 0x1c849303), got " + hex(cookie));
  }
  if (header.version < 2 && header.word_bytes != 2 && header.word_bytes != 4 && header.word_bytes != 8) {
    reject(3, "expected counts of 2, 4 or 8 bytes, got " + std::to_string(header.word_bytes));
  }
  header.size_bytes = header.version == 0 ? kV0HeaderBytes : kHdrHeaderBytes;
  if (bytes.size() < header.size_bytes) {
    reject(bytes.size(), "expected a header of " + std::to_string(header.size_bytes) + " bytes, got " +
                             std::to_string(bytes.size()) + "; it is cut off");
  }
  const std::size_t digits_offset = header.version == 0 ? 4 : 12;
  const std::size_t lowest_offset = header.version == 0 ? 8 : 16;
  header.significant_digits = static_cast<std::int32_t>(big_endian(bytes, digits_offset, 4));
  header.lowest = static_cast<std::int64_t>(big_endian(bytes, lowest_offset, 8));
  header.highest = static_cast<std::int64_t>(big_endian(bytes, lowest_offset + 8, 8));
  header.n_buckets = checked_bucket_count(header, digits_offset, lowest_offset);
  return header;
}

// Reads the counts in order of value, into an array of all buckets, or with none only checks them.
class CountsReader {
 public:
  CountsReader(Bytes payload, const Header& header, std::int64_t* counts)
      : payload_(payload), header_(header), counts_(counts), next_(header.size_bytes) {}

  void read() {
    while (next_ < payload_.size()) {
      const auto offset = next_;
      const auto number = header_.version == 2 ? zigzag() : fixed();
      if (number < 0 && header_.version == 2) {
        skip(number, offset);
      } else {
        count(number, offset);
      }
    }
  }

 private:
  std::int64_t fixed() {
    if (payload_.size() - next_ < header_.word_bytes) {
      reject(payload_.size(), "expected counts of " + std::to_string(header_.word_bytes) + " bytes, the last has " +
                                  std::to_string(payload_.size() - next_) + "; it is cut off");
    }
    const auto bits = big_endian(payload_, next_, header_.word_bytes);
    next_ += header_.word_bytes;
    // Writers keep signed counts: a set highest bit is an overflow of theirs.
    const int unused_bits = 64 - 8 * static_cast<int>(header_.word_bytes);
    return static_cast<std::int64_t>(bits << unused_bits) >> unused_bits;
  }

  std::int64_t zigzag() {
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < kMaxWordBytes; ++i) {
      if (next_ == payload_.size()) reject(next_, "the last count is cut off");
      const std::uint64_t byte = payload_[next_++];
      const bool is_ninth = i == kMaxWordBytes - 1;
      bits |= (is_ninth ? byte : byte & 0x7f) << (7 * i);
      if (is_ninth || byte < 0x80) break;
    }
    return static_cast<std::int64_t>(bits >> 1) ^ -static_cast<std::int64_t>(bits & 1);
  }

  void skip(std::int64_t negative, std::size_t offset) {
    const auto room = static_cast<std::int64_t>(header_.n_buckets - index_);
    if (negative < -room) {
      reject(offset, "expected at most " + std::to_string(room) + " more empty buckets, got " +
                         std::to_string(-static_cast<std::uint64_t>(negative)));
    }
    index_ += static_cast<std::size_t>(-negative);
  }

  void count(std::int64_t number, std::size_t offset) {
    if (number < 0) reject(offset, "expected a count >= 0, got " + std::to_string(number));
    if (index_ == header_.n_buckets) {
      reject(offset, "expected at most " + std::to_string(header_.n_buckets) + " buckets, got more");
    }
    if (number > kInt64Max - total_) {
      reject(offset, "expected a total count <= " + std::to_string(kInt64Max) + ", got " + std::to_string(total_) +
                         " + " + std::to_string(number));
    }
    total_ += number;
    if (counts_) counts_[index_] = number;
    ++index_;
  }

  Bytes payload_;
  Header header_;
  std::int64_t* counts_;
  std::size_t next_;
  std::size_t index_ = 0;
  std::int64_t total_ = 0;
};

void append_zigzag(std::vector<std::uint8_t>& bytes, std::int64_t number) {
  auto bits = (static_cast<std::uint64_t>(number) << 1) ^ static_cast<std::uint64_t>(number >> 63);
  for (std::size_t i = 0; i < kMaxWordBytes - 1 && bits >= 0x80; ++i, bits >>= 7) {
    bytes.push_back(static_cast<std::uint8_t>(bits | 0x80));
  }
  bytes.push_back(static_cast<std::uint8_t>(bits));
}

}  // namespace

std::vector<std::uint8_t> encode_hdr_payload(const HdrHistogram& histogram) {
  std::vector<std::uint8_t> payload;
  append_big_endian(payload, kV2Cookie | kV2WordSize, 4);
  append_big_endian(payload, 0, 4);  // the length, known at the end
  append_big_endian(payload, 0, 4);
  append_big_endian(payload, static_cast<std::uint64_t>(histogram.significant_digits()), 4);
  append_big_endian(payload, static_cast<std::uint64_t>(histogram.lowest()), 8);
  append_big_endian(payload, static_cast<std::uint64_t>(histogram.highest()), 8);
  append_big_endian(payload, kRatioOne, 8);

  std::int64_t next = 0;
  for (const auto& [index, count] : histogram.recorded_buckets()) {
    // One empty bucket is written as the count 0, as the Java implementation does: equal histograms, equal bytes.
    if (const auto n_empty = index - next; n_empty > 0) append_zigzag(payload, n_empty == 1 ? 0 : -n_empty);
    append_zigzag(payload, count);
    next = index + 1;
  }
  if (next == 0) append_zigzag(payload, 0);
  const auto size_bytes = payload.size() - kHdrHeaderBytes;
  for (std::size_t i = 0; i < 4; ++i) payload[4 + i] = static_cast<std::uint8_t>(size_bytes >> (24 - 8 * i));
  return payload;
}

HdrHistogram decode_hdr_payload(Bytes payload) {
  const auto header = read_header(payload);
  if (header.version > 0) {
    const auto stated = big_endian(payload, 4, 4);
    const auto follow = payload.size() - header.size_bytes;
    if (stated != follow) {
      reject(stated < follow ? header.size_bytes + stated : payload.size(),
             "expected " + std::to_string(stated) + " bytes of counts, got " + std::to_string(follow) +
                 (stated < follow ? "" : "; it is cut off"));
    }
  }
  CountsReader(payload, header, nullptr).read();
  std::vector<std::int64_t> counts(header.n_buckets);
  CountsReader(payload, header, counts.data()).read();
  return HdrHistogram::from_counts(header.lowest, header.highest, header.significant_digits, std::move(counts));
}

std::size_t hdr_payload_limit_bytes(Bytes start) {
  const auto header = read_header(start);
  // A version 2 count may follow a zero written on its own, so a bucket never takes more than one number.
  return header.size_bytes + header.n_buckets * (header.version == 2 ? kMaxWordBytes : header.word_bytes);
}

}  // namespace tokenclock
