// Histograms from elsewhere: what is taken comes back as the same counts, what is refused names a byte and costs no
// memory, and no payload asks for more than its header says.
#include <cstring>
#include <span>

#include "fuzz.h"
#include "tokenclock/hdr_codec.h"
#include "tokenclock/hdr_histogram.h"

#if defined(FUZZ_HAS_ASAN) && __has_include(<sanitizer/allocator_interface.h>)  // gcc has none
#include <sanitizer/allocator_interface.h>
#define COUNTS_ALLOCATIONS
#endif

using namespace tokenclock;

namespace {

std::size_t n_allocated_bytes = 0;  // since it was last set to 0; stays 0 without hooks

#ifdef COUNTS_ALLOCATIONS
void note_allocation(const volatile void*, std::size_t n_bytes) { n_allocated_bytes += n_bytes; }
void note_release(const volatile void*) {}
const int hooks_are_set = __sanitizer_install_malloc_and_free_hooks(note_allocation, note_release);
#endif

using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t kSmallChange = 4096;                                // an exception and its text
constexpr std::size_t kMostHistogramBytes = std::size_t{50} * 1'000'000;  // 1 to 2^63 - 1 at 5 digits

void check_error(const HdrPayloadError& error, std::size_t n_bytes) {
  FUZZ_CHECK(error.offset_bytes() <= n_bytes);
  const std::string where = "byte " + std::to_string(error.offset_bytes()) + ": ";
  FUZZ_CHECK(std::strncmp(error.what(), where.c_str(), where.size()) == 0);
  FUZZ_CHECK(std::strlen(error.what()) > where.size() && std::strchr(error.what(), '\n') == nullptr);
}

bool refuses(std::span<const std::uint8_t> payload) {
  n_allocated_bytes = 0;
  try {
    static_cast<void>(decode_hdr_payload(payload));
  } catch (const HdrPayloadError& error) {
    FUZZ_CHECK(n_allocated_bytes <= kSmallChange);
    check_error(error, payload.size());
    return true;
  }
  return false;
}

void check_histogram(const HdrHistogram& histogram) {
  FUZZ_CHECK(histogram.lowest() >= 1 && histogram.highest() / 2 >= histogram.lowest());
  std::int64_t total = 0;
  for (const auto& [index, count] : histogram.recorded_buckets()) {
    FUZZ_CHECK(count > 0);
    total += count;
  }
  FUZZ_CHECK(total == histogram.total_count() && histogram.n_lost() == 0);
  FUZZ_CHECK(histogram.min().has_value() == (total > 0) && histogram.max().has_value() == (total > 0));
  if (total == 0) return;
  FUZZ_CHECK(*histogram.min() >= 0 && *histogram.min() <= *histogram.max());
  FUZZ_CHECK(*histogram.max() <= histogram.highest());
  FUZZ_CHECK(histogram.lowest_equivalent(*histogram.min()) == *histogram.min());
  std::int64_t previous = *histogram.min();
  for (const double percentile : {0.0, 50.0, 99.9, 100.0}) {
    const std::int64_t value = *histogram.value_at_percentile(percentile);
    FUZZ_CHECK(value >= previous);
    previous = value;
  }
  FUZZ_CHECK(histogram.count_between(*histogram.min(), *histogram.max()) == total);
}

void check_round_trip(const HdrHistogram& histogram, fuzz::Dice& dice) {
  const Bytes again = encode_hdr_payload(histogram);
  const HdrHistogram back = decode_hdr_payload(again);
  FUZZ_CHECK(back == histogram);
  FUZZ_CHECK(back.min() == histogram.min() && back.max() == histogram.max());
  FUZZ_CHECK(encode_hdr_payload(back) == again);
  // its length is in its header: no part of it, and nothing behind it, is taken
  FUZZ_CHECK(refuses(std::span(again).first(dice.below(again.size()))));
  Bytes longer = again;
  longer.push_back(static_cast<std::uint8_t>(dice.below(256)));
  FUZZ_CHECK(refuses(longer));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::uint8_t> payload(data, size);
  fuzz::Dice dice(fuzz::text_of(data, size));
  std::size_t limit = 0;
  try {
    limit = hdr_payload_limit_bytes(payload.first(std::min(size, kHdrHeaderBytes)));
  } catch (const HdrPayloadError& error) {
    check_error(error, size);
    FUZZ_CHECK(refuses(payload));
    return 0;
  }
  FUZZ_CHECK(limit <= kHdrHeaderBytes + kMostHistogramBytes / 8 * 9);
  // zeroing the largest of histograms takes as long as hundreds of small inputs
  if (limit > std::size_t{1} << 20 && dice.below(32) != 0) return 0;
  if (refuses(payload)) return 0;

  n_allocated_bytes = 0;
  const HdrHistogram histogram = decode_hdr_payload(payload);
  const std::size_t n_bytes = n_allocated_bytes;
  FUZZ_CHECK(n_bytes <= histogram.counts().size_bytes() + kSmallChange &&
             n_bytes <= kMostHistogramBytes + kSmallChange);
  FUZZ_CHECK(size <= limit);
  check_histogram(histogram);
  check_round_trip(histogram, dice);
  return 0;
}
