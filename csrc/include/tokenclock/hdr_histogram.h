// High dynamic range histogram: counts of whole values (ns here) with a fixed number of significant decimal digits.
//
// The layout is that of the other HDR implementations, so counts can be exchanged bucket by bucket. With
// unit = lowest rounded down to a power of two, values below unit * 2^k are `unit` wide, where 2^k is the first power
// of two
// >= 2 * 10^digits; beyond, every doubling of the value doubles the width. A bucket is thus never wider than
// max(unit, value / 10^digits).
//
// Values from 0 to `lowest` are recorded, but not told apart below `unit`. Values under 0 or above `highest` are
// refused and counted in n_lost(): nothing is clamped.
//
// Not synchronised: one writer at a time. Threads keep a histogram each and merge.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

namespace tokenclock {

// Rank (1 based) of a percentile among n >= 1 ordered values: max(1, ceil(percentile / 100 * n)), where a product that
// lies above a whole number by no more than rounding counts as that number (99.9 of 1 000 is 999, the bare expression
// gives 1 000). Throws std::invalid_argument unless 0 <= percentile <= 100 and n >= 1.
[[nodiscard]] std::int64_t percentile_rank(double percentile, std::int64_t n);

class HdrHistogram {
 public:
  struct Bucket {
    std::int64_t index;
    std::int64_t count;
  };

  // How many buckets a histogram of these parameters has; they are checked as the constructor checks them.
  [[nodiscard]] static std::size_t bucket_count(std::int64_t lowest, std::int64_t highest,
                                                std::int64_t significant_digits);

  // lowest >= 1, highest >= 2 * lowest, 1 <= significant_digits <= 5; else std::invalid_argument.
  HdrHistogram(std::int64_t lowest, std::int64_t highest, std::int64_t significant_digits);

  // Rebuilds a saved histogram. Checks all it is given (std::invalid_argument): indices in order and in range, counts
  // >= 1, min and max inside the first and last bucket. Without buckets, min and max are ignored.
  [[nodiscard]] static HdrHistogram restore(std::int64_t lowest, std::int64_t highest, std::int64_t significant_digits,
                                            std::span<const Bucket> buckets, std::int64_t min, std::int64_t max,
                                            std::int64_t n_lost);

  // Rebuilds a histogram of which only every bucket's count is known: min and max are the bounds of the first and the
  // last bucket with a count, max at most `highest`. Where that last one lies above `highest` (the buckets cover a
  // whole power of two), its end becomes `highest`. std::invalid_argument: not bucket_count() counts, or one below 0.
  [[nodiscard]] static HdrHistogram from_counts(std::int64_t lowest, std::int64_t highest,
                                                std::int64_t significant_digits, std::vector<std::int64_t> counts);

  // True when recorded, false when out of range (then n_lost grows by n). n >= 0; n = 0 changes nothing.
  // std::overflow_error, before any change, where the total would leave int64; the same for all that add counts.
  bool record(std::int64_t value) { return record_n(value, 1); }
  bool record_n(std::int64_t value, std::int64_t n);

  // Returns how many were recorded; the others are in n_lost.
  std::int64_t record_many(std::span<const std::int64_t> values);

  // Records value, value - interval, value - 2 * interval ... down to the last that is >= interval: the samples that a
  // load generator which waited with the server failed to take. Interval 0, or one above value: value alone. Each of
  // these values is recorded or counted lost; true when none was lost.
  bool record_corrected(std::int64_t value, std::int64_t expected_interval);

  // Adds other's counts and losses; returns how many of its values were out of range here (they count as lost). Where
  // the layouts differ a bucket lands at its lowest value; min and max stay exact unless they were dropped.
  std::int64_t merge(const HdrHistogram& other);

  void reset() noexcept;

  // Empty optional: nothing was recorded. Never a made-up 0.
  [[nodiscard]] std::optional<std::int64_t> min() const noexcept;           // exact
  [[nodiscard]] std::optional<std::int64_t> max() const noexcept;           // exact
  [[nodiscard]] std::optional<double> mean() const noexcept;                // from bucket middles
  [[nodiscard]] std::optional<double> standard_deviation() const noexcept;  // of the population, from bucket middles
  // Highest value equivalent to the one at percentile_rank(percentile, total_count()).
  [[nodiscard]] std::optional<std::int64_t> value_at_percentile(double percentile) const;
  // Share in percent of the recorded values that are at or below value, or share its bucket.
  [[nodiscard]] std::optional<double> percentile_at_value(std::int64_t value) const noexcept;

  // Values recorded in the buckets from that of `low` to that of `high`, both included. low <= high.
  [[nodiscard]] std::int64_t count_between(std::int64_t low, std::int64_t high) const;

  // Bounds of the bucket of a value, 0 <= value <= highest; else std::invalid_argument.
  [[nodiscard]] std::int64_t lowest_equivalent(std::int64_t value) const;
  [[nodiscard]] std::int64_t highest_equivalent(std::int64_t value) const;

  [[nodiscard]] std::int64_t lowest() const noexcept { return lowest_; }
  [[nodiscard]] std::int64_t highest() const noexcept { return highest_; }
  [[nodiscard]] int significant_digits() const noexcept { return significant_digits_; }
  [[nodiscard]] std::int64_t total_count() const noexcept { return total_count_; }
  [[nodiscard]] std::int64_t n_lost() const noexcept { return n_lost_; }  // stays at int64's highest once there
  [[nodiscard]] std::size_t memory_bytes() const noexcept;

  // Every bucket's count, in order of value; the address holds for the histogram's life.
  [[nodiscard]] std::span<const std::int64_t> counts() const noexcept { return counts_; }
  [[nodiscard]] std::int64_t lowest_of_bucket(std::int64_t index) const noexcept;
  [[nodiscard]] std::vector<Bucket> recorded_buckets() const;  // those with a count, in order of value

  // Same range, digits, counts and losses. The exact min and max take no part: values of one bucket are the same value
  // here.
  [[nodiscard]] bool operator==(const HdrHistogram& other) const noexcept;

 private:
  HdrHistogram(std::int64_t lowest, std::int64_t highest, std::int64_t significant_digits,
               std::vector<std::int64_t> counts);

  static constexpr std::int64_t kNoMin = std::numeric_limits<std::int64_t>::max();
  static constexpr std::int64_t kNoMax = -1;

  [[nodiscard]] std::int64_t index_of(std::int64_t value) const noexcept;
  [[nodiscard]] std::int64_t highest_of_bucket(std::int64_t index) const noexcept;
  [[nodiscard]] double middle_of_bucket(std::int64_t index) const noexcept;
  [[nodiscard]] bool in_range(std::int64_t value) const noexcept;
  [[nodiscard]] std::int64_t count_in_buckets(std::int64_t first, std::int64_t last) const noexcept;
  void require_room_for(std::int64_t n) const;
  void require_in_range(std::int64_t value) const;
  void add(std::int64_t index, std::int64_t n) noexcept;
  void count_lost(std::int64_t n) noexcept;

  std::int64_t lowest_;
  std::int64_t highest_;
  int significant_digits_;
  int unit_bits_ = 0;       // unit = 2^unit_bits
  int half_bits_ = 0;       // each doubling of the value has 2^half_bits buckets
  std::uint64_t mask_ = 0;  // the bits of a value of the unit-wide part
  std::vector<std::int64_t> counts_;
  std::int64_t total_count_ = 0;
  std::int64_t n_lost_ = 0;
  std::int64_t min_ = kNoMin;  // meaningful once total_count_ > 0
  std::int64_t max_ = kNoMax;
};

}  // namespace tokenclock
