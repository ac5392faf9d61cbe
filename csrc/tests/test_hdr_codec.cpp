// The payload of HDR histograms: bytes typed by hand, round trips, every cut, flipped bytes, hostile headers.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "check.h"
#include "tokenclock/hdr_codec.h"
#include "tokenclock/hdr_histogram.h"

using tokenclock::decode_hdr_payload;
using tokenclock::encode_hdr_payload;
using tokenclock::hdr_payload_limit_bytes;
using tokenclock::HdrHistogram;
using tokenclock::HdrPayloadError;

namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::int64_t kInt64Max = std::numeric_limits<std::int64_t>::max();

Bytes operator+(Bytes left, const Bytes& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

Bytes big_endian(std::uint64_t number, int size_bytes) {
  Bytes bytes;
  for (int shift = 8 * (size_bytes - 1); shift >= 0; shift -= 8) {
    bytes.push_back(static_cast<std::uint8_t>(number >> shift));
  }
  return bytes;
}

// A payload of version 1 or 2: 1 to 1 000 at 2 digits unless said otherwise.
Bytes payload(std::uint32_t cookie, const Bytes& counts, std::uint64_t lowest = 1, std::uint64_t highest = 1'000,
              std::uint64_t digits = 2) {
  return big_endian(cookie, 4) + big_endian(counts.size(), 4) + big_endian(0, 4) + big_endian(digits, 4) +
         big_endian(lowest, 8) + big_endian(highest, 8) + big_endian(0x3ff0000000000000, 8) + counts;
}

constexpr std::uint32_t kV2 = 0x1c849313;

// The byte that decoding stumbles over. Fails the test where it does not.
std::size_t error_offset(const Bytes& bytes) {
  try {
    static_cast<void>(decode_hdr_payload(bytes));
  } catch (const HdrPayloadError& error) {
    CHECK_EQ(std::string(error.what()).rfind("byte " + std::to_string(error.offset_bytes()) + ": ", 0), 0U);
    return error.offset_bytes();
  }
  CHECK(!"decoded, though it is no histogram");
  return 0;
}

void the_bytes_are_those_of_the_format() {
  HdrHistogram histogram(1, 1'000, 2);
  CHECK(histogram.record_n(0, 3));   // 3 -> 6
  CHECK(histogram.record_n(2, 64));  // one empty bucket -> 0, 64 -> 128 = 80 01
  CHECK(histogram.record(5));        // two empty buckets: -2 -> 3; 1 -> 2
  CHECK(encode_hdr_payload(histogram) == payload(kV2, {6, 0, 0x80, 1, 3, 2}));
  CHECK(encode_hdr_payload(HdrHistogram(1, 1'000, 2)) == payload(kV2, {0}));
  CHECK(decode_hdr_payload(payload(kV2, {6, 0, 0x80, 1, 3, 2})) == histogram);
  CHECK(decode_hdr_payload(payload(kV2, {6, 1, 0x80, 1, 0, 0, 2, 0, 3})) == histogram);  // other ways to say empty
  CHECK(decode_hdr_payload(payload(kV2, {})) == HdrHistogram(1, 1'000, 2));
  CHECK(decode_hdr_payload(payload(kV2, {0})) == HdrHistogram(1, 1'000, 2));
}

void the_largest_count_takes_nine_bytes() {
  HdrHistogram histogram(1, 1'000, 2);
  CHECK(histogram.record_n(0, kInt64Max));
  const auto bytes = encode_hdr_payload(histogram);
  CHECK(bytes == payload(kV2, {0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}));
  CHECK(decode_hdr_payload(bytes) == histogram);
  CHECK_EQ(error_offset(bytes + Bytes{2}), 49U);  // more than the header says
  CHECK_EQ(error_offset(payload(kV2, {0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2})), 49U);  // total
}

void round_trips_keep_every_count() {
  std::mt19937_64 random(5);
  for (int round = 0; round < 200; ++round) {
    const auto digits = 1 + round % 4;
    HdrHistogram histogram(1 + static_cast<std::int64_t>(random() % 3'000), 3'600'000'000'000, digits);
    for (auto n = random() % 300; n > 0; --n) {
      const auto value = static_cast<std::int64_t>(random() >> (22 + random() % 42));
      histogram.record_n(value, static_cast<std::int64_t>(random() >> (16 + random() % 48)) / 300);
    }
    const auto bytes = encode_hdr_payload(histogram);
    CHECK(bytes.size() <= hdr_payload_limit_bytes(bytes));
    const auto back = decode_hdr_payload(bytes);
    CHECK(std::equal(back.counts().begin(), back.counts().end(), histogram.counts().begin(), histogram.counts().end()));
    CHECK_EQ(back.total_count(), histogram.total_count());
    CHECK_EQ(back.n_lost(), 0);
    CHECK(encode_hdr_payload(back) == bytes);
    if (histogram.total_count() == 0) continue;
    CHECK(*back.min() <= *histogram.min() && *back.max() >= *histogram.max());
    CHECK_EQ(*back.min(), histogram.lowest_equivalent(*histogram.min()));
    CHECK(*back.max() <= back.highest());
  }
}

void older_versions_are_read() {
  HdrHistogram histogram(1, 1'000, 2);
  CHECK(histogram.record_n(1, 258));
  CHECK(histogram.record_n(3, 7));
  for (int word : {2, 4, 8}) {
    const auto counts = big_endian(0, word) + big_endian(258, word) + big_endian(0, word) + big_endian(7, word);
    const auto cookie = static_cast<std::uint32_t>(word) << 4;
    CHECK(decode_hdr_payload(payload(0x1c849301 | cookie, counts)) == histogram);
    const auto v0 = big_endian(0x1c849308 | cookie, 4) + big_endian(2, 4) + big_endian(1, 8) + big_endian(1'000, 8) +
                    big_endian(265, 8) + counts;
    CHECK(decode_hdr_payload(v0) == histogram);
    CHECK_EQ(error_offset(Bytes(v0.begin(), v0.end() - 1)), v0.size() - 1);
    CHECK_EQ(error_offset(payload(0x1c849301 | cookie, counts + Bytes{0})), 40 + counts.size() + 1);
    CHECK_EQ(
        error_offset(payload(0x1c849301 | cookie, big_endian(0, word) + Bytes(static_cast<std::size_t>(word), 255))),
        40U + static_cast<std::size_t>(word));  // -1: an overflow of the writer
    CHECK_EQ(error_offset(Bytes(v0.begin(), v0.begin() + 31)), 31U);
  }
  CHECK_EQ(error_offset(payload(0x1c849311, {0, 0})), 3U);
}

void room_above_the_highest_value_is_used() {
  // 1 000 at 2 digits has buckets up to 1 023 (4 wide): the last one begins at 1 020, index 511.
  const auto last = static_cast<std::uint8_t>(HdrHistogram::bucket_count(1, 1'000, 2) - 1);
  CHECK_EQ(static_cast<int>(last), 511 & 255);
  const auto above = decode_hdr_payload(payload(kV2, {0xfd, 7, 2}));  // 511 empty ones: -511 -> 1021 = fd 07
  CHECK_EQ(above.highest(), 1'023);
  CHECK_EQ(*above.min(), 1'020);
  CHECK_EQ(*above.max(), 1'023);
  CHECK_EQ(above.total_count(), 1);
  CHECK_EQ(above.counts().size(), HdrHistogram::bucket_count(1, 1'000, 2));
  const auto inside = decode_hdr_payload(payload(kV2, {0xf1, 7, 2}));  // -505: the bucket of 996 to 999
  CHECK_EQ(inside.highest(), 1'000);
  CHECK_EQ(*inside.max(), 999);
  const auto across = decode_hdr_payload(payload(kV2, {0xf3, 7, 2}));  // -506: 1 000 to 1 003
  CHECK_EQ(across.highest(), 1'000);
  CHECK_EQ(*across.max(), 1'000);
  CHECK_EQ(error_offset(payload(kV2, {0xfd, 7, 2, 2})), 43U);  // a 513th bucket
  CHECK_EQ(error_offset(payload(kV2, {0x81, 8})), 40U);        // 513 empty ones: one too many
  const auto widest = decode_hdr_payload(payload(kV2, {2}, 1, kInt64Max, 1));
  CHECK_EQ(widest.highest(), kInt64Max);
}

void headers_are_checked() {
  CHECK_EQ(error_offset({}), 0U);
  CHECK_EQ(error_offset({0x1c, 0x84}), 2U);
  CHECK_EQ(error_offset(payload(0x1c849314, {})), 0U);  // a cookie of the compressed form
  CHECK_EQ(error_offset(payload(kV2, {}, 1, 1'000, 0)), 12U);
  CHECK_EQ(error_offset(payload(kV2, {}, 1, 1'000, 6)), 12U);
  CHECK_EQ(error_offset(payload(kV2, {}, 1, 1'000, 0xffffffff)), 12U);
  CHECK_EQ(error_offset(payload(kV2, {}, 0)), 16U);
  CHECK_EQ(error_offset(payload(kV2, {}, std::uint64_t{1} << 63)), 16U);
  CHECK_EQ(error_offset(payload(kV2, {}, std::uint64_t{1} << 62, kInt64Max)), 16U);
  CHECK_EQ(error_offset(payload(kV2, {}, 1, 1)), 24U);
  CHECK_EQ(error_offset(payload(kV2, {}, 1, ~std::uint64_t{0})), 24U);
  CHECK_EQ(error_offset(payload(kV2, {0x80})), 41U);  // a count without its last byte
  CHECK_EQ(error_offset(payload(kV2, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})), 40U);  // -2^63 empty
  auto longer = payload(kV2, {2, 2});
  longer[7] = 3;
  CHECK_EQ(error_offset(longer), 42U);
  longer[7] = 1;
  CHECK_EQ(error_offset(longer), 41U);
  CHECK_THROWS(hdr_payload_limit_bytes(Bytes(39)), HdrPayloadError);
  CHECK_EQ(hdr_payload_limit_bytes(payload(kV2, {})), 40U + 9 * 512);
  CHECK_EQ(hdr_payload_limit_bytes(payload(0x1c849321, {})), 40U + 2 * 512);
}

void cuts_and_flips_are_refused_or_decode() {
  std::mt19937_64 random(9);
  HdrHistogram histogram(1'000, 3'600'000'000, 2);
  for (int i = 0; i < 400; ++i) histogram.record_n(static_cast<std::int64_t>(random() % 4'000'000'000), 1 + i * i * i);
  const auto bytes = encode_hdr_payload(histogram);
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    CHECK_EQ(error_offset(Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n))), n);
  }
  int n_refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    auto damaged = bytes;
    for (auto n = 1 + random() % 3; n > 0; --n) {
      const auto at = random() % (round % 2 ? 4 + random() % 12 : damaged.size());
      damaged[at] = static_cast<std::uint8_t>(random());
    }
    try {
      const auto back = decode_hdr_payload(damaged);
      CHECK(decode_hdr_payload(encode_hdr_payload(back)) == back);
    } catch (const HdrPayloadError& error) {
      CHECK(error.offset_bytes() <= damaged.size());
      ++n_refused;
    }
  }
  CHECK(n_refused > 5'000);
}

}  // namespace

int main() {
  the_bytes_are_those_of_the_format();
  the_largest_count_takes_nine_bytes();
  round_trips_keep_every_count();
  older_versions_are_read();
  room_above_the_highest_value_is_used();
  headers_are_checked();
  cuts_and_flips_are_refused_or_decode();
}
