// The binary form in which HDR histograms travel between programs: a header of 40 bytes, then the counts in order of
// value. Written is version 2 (ZigZag LEB128, runs of empty buckets as one negative number); read are versions 0, 1
// (big-endian counts of 2, 4 or 8 bytes) and 2. All numbers of the header are big-endian:
//
//   offset  V1, V2                               V0 (32 bytes)
//   0       cookie 0x1c8493w1 or 0x1c849313      cookie 0x1c8493w8, w = bytes of a count
//   4       bytes of counts that follow          significant digits
//   8       index offset: a layout hint, unused  lowest
//   12      significant digits
//   16      lowest                               highest
//   24      highest                              total count, not relied upon
//   32      ratio to real numbers, unused
//
// Not carried: n_lost, and where in its bucket the minimum and the maximum lay. DEFLATE and base64, which wrap this
// form in logs, are the caller's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "tokenclock/hdr_histogram.h"

namespace tokenclock {

// What is wrong with a payload, and at which of its bytes. The text begins with "byte N: ".
class HdrPayloadError : public std::invalid_argument {
 public:
  HdrPayloadError(std::size_t offset_bytes, const std::string& what)
      : std::invalid_argument("byte " + std::to_string(offset_bytes) + ": " + what), offset_bytes_(offset_bytes) {}
  [[nodiscard]] std::size_t offset_bytes() const noexcept { return offset_bytes_; }

 private:
  std::size_t offset_bytes_;
};

inline constexpr std::size_t kHdrHeaderBytes = 40;

// Version 2. An empty histogram has one count, 0: the C implementation cannot read one with none.
[[nodiscard]] std::vector<std::uint8_t> encode_hdr_payload(const HdrHistogram& histogram);

// Takes any bytes. Memory: the histogram that the header describes (50 MB at most: 1 to 2^63 - 1 at 5 digits), and only
// once the whole payload has been checked. HdrPayloadError where the bytes are no histogram, end early, or go on after
// it.
//
// Some writers fill the room that their arrays have above the highest value they were made for. Such counts are kept:
// `highest` of the result is then the end of the last bucket with a count.
[[nodiscard]] HdrHistogram decode_hdr_payload(std::span<const std::uint8_t> payload);

// The longest a payload that begins with these bytes (the first kHdrHeaderBytes, or fewer where there are no more) can
// be; so a decompressor knows when to stop. HdrPayloadError where they are no header.
[[nodiscard]] std::size_t hdr_payload_limit_bytes(std::span<const std::uint8_t> start);

}  // namespace tokenclock
