#include "tokenclock/hdr_histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>

namespace tokenclock {
namespace {

constexpr std::int64_t kInt64Max = std::numeric_limits<std::int64_t>::max();
constexpr int kMaxLinearBits = 62;  // the unit-wide part must end at 2^62 or below

[[noreturn]] void reject(const std::string& rule, std::int64_t got) {
  throw std::invalid_argument(rule + ", got " + std::to_string(got));
}

std::string between(std::int64_t low, std::int64_t high) {
  return " must be >= " + std::to_string(low) + " and <= " + std::to_string(high);
}

int bit_length(std::uint64_t bits) { return static_cast<int>(std::bit_width(bits)); }

// Bits of the unit-wide part: 2^bits >= 2 * 10^digits units, so that no later bucket is wider than its value /
// 10^digits.
int linear_bits(std::int64_t significant_digits) {
  std::uint64_t needed = 2;
  for (std::int64_t i = 0; i < significant_digits; ++i) needed *= 10;
  return bit_length(needed - 1);
}

}  // namespace

std::int64_t percentile_rank(double percentile, std::int64_t n) {
  if (!(percentile >= 0.0 && percentile <= 100.0)) {
    throw std::invalid_argument("percentile must be >= 0 and <= 100, got " + std::to_string(percentile));
  }
  if (n < 1) reject("n must be >= 1", n);
  if (percentile == 100.0) return n;
  // The percentile as written and the two operations each err by up to 2^-53 of the product: less than 2^-51 in all.
  const double product = percentile * static_cast<double>(n) / 100.0;
  const auto rank = static_cast<std::int64_t>(std::ceil(product * (1.0 - 0x1p-51)));
  return std::clamp<std::int64_t>(rank, 1, n);
}

std::size_t HdrHistogram::bucket_count(std::int64_t lowest, std::int64_t highest, std::int64_t significant_digits) {
  if (significant_digits < 1 || significant_digits > 5) {
    reject("significant_digits" + between(1, 5), significant_digits);
  }
  if (lowest < 1) reject("lowest must be >= 1", lowest);
  const int bits = linear_bits(significant_digits);
  const int unit_bits = bit_length(static_cast<std::uint64_t>(lowest)) - 1;
  if (unit_bits + bits > kMaxLinearBits) {
    reject("lowest must be < " + std::to_string(std::int64_t{1} << (kMaxLinearBits - bits + 1)) + " at " +
               std::to_string(significant_digits) + " significant digits",
           lowest);
  }
  if (highest / 2 < lowest) reject("highest must be >= 2 * lowest = " + std::to_string(2 * lowest), highest);

  int n_doublings = 0;
  for (auto end = std::uint64_t{1} << (bits + unit_bits); end <= static_cast<std::uint64_t>(highest); end *= 2) {
    ++n_doublings;
  }
  return static_cast<std::size_t>(n_doublings + 2) << (bits - 1);
}

HdrHistogram::HdrHistogram(std::int64_t lowest, std::int64_t highest, std::int64_t significant_digits)
    : HdrHistogram(lowest, highest, significant_digits,
                   std::vector<std::int64_t>(bucket_count(lowest, highest, significant_digits))) {}

HdrHistogram::HdrHistogram(std::int64_t lowest, std::int64_t highest, std::int64_t significant_digits,
                           std::vector<std::int64_t> counts)
    : lowest_(lowest), highest_(highest), significant_digits_(static_cast<int>(significant_digits)) {
  const auto n_buckets = bucket_count(lowest, highest, significant_digits);  // checks all three
  if (counts.size() != n_buckets) {
    reject("number of counts must be " + std::to_string(n_buckets), static_cast<std::int64_t>(counts.size()));
  }
  counts_ = std::move(counts);
  const int bits = linear_bits(significant_digits);
  half_bits_ = bits - 1;
  unit_bits_ = bit_length(static_cast<std::uint64_t>(lowest)) - 1;
  mask_ = ((std::uint64_t{1} << bits) - 1) << unit_bits_;
}

HdrHistogram HdrHistogram::restore(std::int64_t lowest, std::int64_t highest, std::int64_t significant_digits,
                                   std::span<const Bucket> buckets, std::int64_t min, std::int64_t max,
                                   std::int64_t n_lost) {
  HdrHistogram histogram(lowest, highest, significant_digits);
  if (n_lost < 0) reject("n_lost must be >= 0", n_lost);
  const auto last_index = static_cast<std::int64_t>(histogram.counts_.size()) - 1;
  std::int64_t previous = -1;
  for (const auto& [index, count] : buckets) {
    if (index <= previous || index > last_index) reject("bucket index" + between(previous + 1, last_index), index);
    if (count < 1) reject("bucket count must be >= 1", count);
    histogram.require_room_for(count);
    histogram.add(index, count);
    previous = index;
  }
  if (!buckets.empty()) {
    const auto check = [&histogram](const char* name, std::int64_t value, std::int64_t index) {
      const auto low = histogram.lowest_of_bucket(index);
      const auto high = histogram.highest_of_bucket(index);
      if (value < low || value > high) reject(name + between(low, high), value);
    };
    check("min", min, buckets.front().index);
    check("max", max, buckets.back().index);
    if (min > max) reject("min must be <= max = " + std::to_string(max), min);
    histogram.min_ = min;
    histogram.max_ = max;
  }
  histogram.n_lost_ = n_lost;
  return histogram;
}

HdrHistogram HdrHistogram::from_counts(std::int64_t lowest, std::int64_t highest, std::int64_t significant_digits,
                                       std::vector<std::int64_t> counts) {
  HdrHistogram histogram(lowest, highest, significant_digits, std::move(counts));
  std::int64_t last = -1;
  for (std::size_t i = 0; i < histogram.counts_.size(); ++i) {
    const auto count = histogram.counts_[i];
    if (count == 0) continue;
    if (count < 0) reject("bucket count must be >= 0", count);
    histogram.require_room_for(count);
    histogram.total_count_ += count;
    if (last < 0) histogram.min_ = histogram.lowest_of_bucket(static_cast<std::int64_t>(i));
    last = static_cast<std::int64_t>(i);
  }
  if (last >= 0) {
    const auto end = histogram.highest_of_bucket(last);
    if (histogram.lowest_of_bucket(last) > highest) histogram.highest_ = end;  // as many buckets: the array had room
    histogram.max_ = std::min(end, histogram.highest_);
  }
  return histogram;
}

// Bucket of a value >= 0. Past the unit-wide part the position of the highest bit says how wide the buckets are.
std::int64_t HdrHistogram::index_of(std::int64_t value) const noexcept {
  const auto bits = static_cast<std::uint64_t>(value);
  const int doubling = bit_length(bits | mask_) - (unit_bits_ + half_bits_ + 1);
  return (static_cast<std::int64_t>(doubling) << half_bits_) +
         static_cast<std::int64_t>(bits >> (unit_bits_ + doubling));
}

std::int64_t HdrHistogram::lowest_of_bucket(std::int64_t index) const noexcept {
  const auto doubling = std::max<std::int64_t>((index >> half_bits_) - 1, 0);
  return (index - (doubling << half_bits_)) << (unit_bits_ + doubling);
}

std::int64_t HdrHistogram::highest_of_bucket(std::int64_t index) const noexcept {
  const auto doubling = std::max<std::int64_t>((index >> half_bits_) - 1, 0);
  return lowest_of_bucket(index) + ((std::int64_t{1} << (unit_bits_ + doubling)) - 1);
}

// Kept inside what was recorded, so that the mean never lies outside of [min, max].
double HdrHistogram::middle_of_bucket(std::int64_t index) const noexcept {
  const auto low = lowest_of_bucket(index);
  const auto middle = low + (highest_of_bucket(index) - low + 1) / 2;
  return static_cast<double>(std::clamp(middle, min_, max_));
}

bool HdrHistogram::in_range(std::int64_t value) const noexcept { return value >= 0 && value <= highest_; }

void HdrHistogram::require_in_range(std::int64_t value) const {
  if (!in_range(value)) reject("value" + between(0, highest_), value);
}

void HdrHistogram::require_room_for(std::int64_t n) const {
  if (n > kInt64Max - total_count_) {
    throw std::overflow_error("total_count must stay <= " + std::to_string(kInt64Max) + ", got " +
                              std::to_string(total_count_) + " + " + std::to_string(n));
  }
}

// No bucket holds more than total_count_, so room in the total is room in the bucket.
void HdrHistogram::add(std::int64_t index, std::int64_t n) noexcept {
  counts_[static_cast<std::size_t>(index)] += n;
  total_count_ += n;
}

void HdrHistogram::count_lost(std::int64_t n) noexcept { n_lost_ = n > kInt64Max - n_lost_ ? kInt64Max : n_lost_ + n; }

bool HdrHistogram::record_n(std::int64_t value, std::int64_t n) {
  if (n < 0) reject("n must be >= 0", n);
  if (!in_range(value)) {
    count_lost(n);
    return false;
  }
  if (n == 0) return true;
  require_room_for(n);
  add(index_of(value), n);
  min_ = std::min(min_, value);
  max_ = std::max(max_, value);
  return true;
}

std::int64_t HdrHistogram::record_many(std::span<const std::int64_t> values) {
  const auto n = static_cast<std::int64_t>(values.size());
  require_room_for(n);
  // Local copies: a store into counts could alias a member, which would then be read again for every value.
  std::int64_t* const counts = counts_.data();
  const auto highest = static_cast<std::uint64_t>(highest_);
  const auto mask = mask_;
  const auto unit_bits = unit_bits_;
  const auto half_bits = half_bits_;
  auto min = min_;
  auto max = max_;
  std::int64_t n_lost = 0;
  for (const std::int64_t value : values) {
    const auto bits = static_cast<std::uint64_t>(value);
    if (bits > highest) {  // seen as unsigned, a negative value is above too
      ++n_lost;
      continue;
    }
    const int doubling = bit_length(bits | mask) - (unit_bits + half_bits + 1);
    ++counts[(static_cast<std::uint64_t>(doubling) << half_bits) + (bits >> (unit_bits + doubling))];
    min = std::min(min, value);
    max = std::max(max, value);
  }
  min_ = min;
  max_ = max;
  total_count_ += n - n_lost;
  count_lost(n_lost);
  return n - n_lost;
}

bool HdrHistogram::record_corrected(std::int64_t value, std::int64_t expected_interval) {
  if (expected_interval < 0) reject("expected_interval must be >= 0 (0 = no correction)", expected_interval);
  if (expected_interval == 0 || value <= expected_interval) return record(value);
  require_room_for(value / expected_interval);

  // The values descend in steps of the interval. Each round takes all that share a bucket, so that a long stall with a
  // short interval costs no more rounds than there are buckets.
  auto next = value;
  const auto take_down_to = [&next, expected_interval](std::int64_t bound) {
    const auto n = (next - std::max(bound, expected_interval)) / expected_interval + 1;
    next -= n * expected_interval;
    return n;
  };
  const bool is_above = next > highest_;
  if (is_above) count_lost(take_down_to(highest_ + 1));
  if (next >= expected_interval) max_ = std::max(max_, next);
  while (next >= expected_interval) {
    const auto index = index_of(next);
    add(index, take_down_to(lowest_of_bucket(index)));
    min_ = std::min(min_, next + expected_interval);
  }
  return !is_above;
}

std::int64_t HdrHistogram::merge(const HdrHistogram& other) {
  require_room_for(other.total_count_);
  const auto other_lost = other.n_lost_;  // read first: other may be this very histogram
  std::int64_t n_dropped = 0;
  if (unit_bits_ == other.unit_bits_ && half_bits_ == other.half_bits_ && other.max_ <= highest_) {
    for (const auto& [index, count] : other.recorded_buckets()) add(index, count);
    min_ = std::min(min_, other.min_);
    max_ = std::max(max_, other.max_);
  } else {
    const auto other_min = other.min_;
    const auto other_max = other.max_;
    const auto move = [&](std::int64_t value, std::int64_t n) {
      if (!record_n(value, n)) n_dropped += n;  // record_n has counted them as lost
    };
    const auto buckets = other.recorded_buckets();
    for (const auto& [index, count] : buckets) {
      // The maximum was recorded at least once: that one keeps its exact value.
      const bool is_last = index == buckets.back().index;
      move(std::max(other.lowest_of_bucket(index), other_min), is_last ? count - 1 : count);
      if (is_last) move(other_max, 1);
    }
  }
  count_lost(other_lost);
  return n_dropped;
}

void HdrHistogram::reset() noexcept {
  std::fill(counts_.begin(), counts_.end(), 0);
  total_count_ = 0;
  n_lost_ = 0;
  min_ = kNoMin;
  max_ = kNoMax;
}

std::optional<std::int64_t> HdrHistogram::min() const noexcept {
  return total_count_ ? std::optional(min_) : std::nullopt;
}

std::optional<std::int64_t> HdrHistogram::max() const noexcept {
  return total_count_ ? std::optional(max_) : std::nullopt;
}

std::optional<double> HdrHistogram::mean() const noexcept {
  if (total_count_ == 0) return std::nullopt;
  double sum = 0;
  for (auto i = index_of(min_); i <= index_of(max_); ++i) {
    const auto count = counts_[static_cast<std::size_t>(i)];
    if (count) sum += static_cast<double>(count) * middle_of_bucket(i);
  }
  return sum / static_cast<double>(total_count_);
}

std::optional<double> HdrHistogram::standard_deviation() const noexcept {
  const auto center = mean();
  if (!center) return std::nullopt;
  double squares = 0;
  for (auto i = index_of(min_); i <= index_of(max_); ++i) {
    const auto count = counts_[static_cast<std::size_t>(i)];
    const double gap = count ? middle_of_bucket(i) - *center : 0.0;
    squares += static_cast<double>(count) * gap * gap;
  }
  return std::sqrt(squares / static_cast<double>(total_count_));
}

std::optional<std::int64_t> HdrHistogram::value_at_percentile(double percentile) const {
  // The argument is checked on an empty histogram too.
  const auto rank = percentile_rank(percentile, std::max<std::int64_t>(total_count_, 1));
  if (total_count_ == 0) return std::nullopt;
  auto index = index_of(min_);
  for (auto seen = counts_[static_cast<std::size_t>(index)]; seen < rank;) {
    seen += counts_[static_cast<std::size_t>(++index)];
  }
  return highest_of_bucket(index);
}

std::int64_t HdrHistogram::count_in_buckets(std::int64_t first, std::int64_t last) const noexcept {
  if (total_count_ == 0) return 0;
  first = std::max(first, index_of(min_));
  last = std::min(last, index_of(max_));
  if (first > last) return 0;
  return std::accumulate(counts_.begin() + first, counts_.begin() + last + 1, std::int64_t{0});
}

std::optional<double> HdrHistogram::percentile_at_value(std::int64_t value) const noexcept {
  if (total_count_ == 0) return std::nullopt;
  if (value < 0) return 0.0;
  return 100.0 * (static_cast<double>(count_in_buckets(0, index_of(value))) / static_cast<double>(total_count_));
}

std::int64_t HdrHistogram::count_between(std::int64_t low, std::int64_t high) const {
  if (low > high) reject("low must be <= high = " + std::to_string(high), low);
  if (high < 0) return 0;
  return count_in_buckets(index_of(std::max<std::int64_t>(low, 0)), index_of(high));
}

std::int64_t HdrHistogram::lowest_equivalent(std::int64_t value) const {
  require_in_range(value);
  return lowest_of_bucket(index_of(value));
}

std::int64_t HdrHistogram::highest_equivalent(std::int64_t value) const {
  require_in_range(value);
  return highest_of_bucket(index_of(value));
}

std::size_t HdrHistogram::memory_bytes() const noexcept {
  return sizeof(*this) + counts_.capacity() * sizeof(std::int64_t);
}

std::vector<HdrHistogram::Bucket> HdrHistogram::recorded_buckets() const {
  std::vector<Bucket> buckets;
  if (total_count_ == 0) return buckets;
  for (auto i = index_of(min_); i <= index_of(max_); ++i) {
    const auto count = counts_[static_cast<std::size_t>(i)];
    if (count) buckets.push_back({i, count});
  }
  return buckets;
}

bool HdrHistogram::operator==(const HdrHistogram& other) const noexcept {
  return lowest_ == other.lowest_ && highest_ == other.highest_ && significant_digits_ == other.significant_digits_ &&
         total_count_ == other.total_count_ && n_lost_ == other.n_lost_ && counts_ == other.counts_;
}

}  // namespace tokenclock
