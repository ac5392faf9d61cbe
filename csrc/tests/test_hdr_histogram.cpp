// Golden vectors whose answer can be read off, the edges of int64, and the bucket layout against its definition.
#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <random>
#include <stdexcept>
#include <vector>

#include "check.h"
#include "tokenclock/hdr_histogram.h"

using tokenclock::HdrHistogram;
using tokenclock::percentile_rank;

namespace {

constexpr std::int64_t kInt64Max = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kHourUs = 3'600'000'000;

// The value of an optional that must hold one.
template <typename T>
T known(const std::optional<T>& maybe) {
  CHECK(maybe.has_value());
  return *maybe;
}

HdrHistogram with_values(HdrHistogram histogram, const std::vector<std::int64_t>& values) {
  histogram.record_many(values);
  return histogram;
}

void ranks_are_the_smallest_that_reach_the_share() {
  CHECK_EQ(percentile_rank(99.0, 160), 159);
  CHECK_EQ(percentile_rank(99.9, 1000), 999);  // the bare product is 999.0000000000001
  CHECK_EQ(percentile_rank(50.0, 3), 2);
  CHECK_EQ(percentile_rank(50.0, 2), 1);
  CHECK_EQ(percentile_rank(0.0, 5), 1);
  CHECK_EQ(percentile_rank(1e-300, 5), 1);
  CHECK_EQ(percentile_rank(100.0, 1), 1);
  CHECK_EQ(percentile_rank(100.0, kInt64Max), kInt64Max);
  CHECK(percentile_rank(99.999999999, kInt64Max) < kInt64Max);
  CHECK_THROWS(percentile_rank(-0.1, 5), std::invalid_argument);
  CHECK_THROWS(percentile_rank(100.1, 5), std::invalid_argument);
  CHECK_THROWS(percentile_rank(std::numeric_limits<double>::quiet_NaN(), 5), std::invalid_argument);
  CHECK_THROWS(percentile_rank(50.0, 0), std::invalid_argument);
  // Against whole-number arithmetic for every hundredth of a percent: ceil(h * n / 10 000).
  for (std::int64_t n : {1, 2, 7, 100, 160, 1000, 10'000, 123'457, 40'000'000}) {
    for (std::int64_t hundredths = 1; hundredths <= 10'000; ++hundredths) {
      const auto expected = (hundredths * n + 9'999) / 10'000;
      CHECK_EQ(percentile_rank(static_cast<double>(hundredths) / 100.0, n), expected);
    }
  }
}

void parameters_are_checked() {
  CHECK_THROWS(HdrHistogram(0, 1000, 3), std::invalid_argument);
  CHECK_THROWS(HdrHistogram(1, 1, 3), std::invalid_argument);
  CHECK_THROWS(HdrHistogram(1, 1000, 0), std::invalid_argument);
  CHECK_THROWS(HdrHistogram(1, 1000, 6), std::invalid_argument);
  CHECK_THROWS(HdrHistogram(kInt64Max / 2, kInt64Max, 1), std::invalid_argument);
  CHECK_THROWS(HdrHistogram(1, std::numeric_limits<std::int64_t>::min(), 1), std::invalid_argument);
  CHECK_EQ(HdrHistogram(1, 2, 1).highest(), 2);
  CHECK_EQ(HdrHistogram(1, kInt64Max, 1).highest(), kInt64Max);
}

void every_bucket_covers_its_own_range_and_no_other() {
  for (int digits = 1; digits <= 3; ++digits) {
    for (std::int64_t lowest : {1, 2, 3, 1000}) {
      HdrHistogram histogram(lowest, kHourUs, digits);
      std::int64_t allowed_share = 1;
      for (int i = 0; i < digits; ++i) allowed_share *= 10;
      std::int64_t value = 0;
      std::int64_t n_buckets = 0;
      while (value <= histogram.highest()) {
        const auto high = histogram.highest_equivalent(value);
        CHECK_EQ(histogram.lowest_equivalent(value), value);
        CHECK_EQ(histogram.lowest_of_bucket(n_buckets), value);
        CHECK(high - value + 1 <= std::max(lowest, value / allowed_share));
        if (high <= histogram.highest()) CHECK_EQ(histogram.lowest_equivalent(high), value);
        value = high + 1;
        ++n_buckets;
      }
      CHECK(n_buckets <= static_cast<std::int64_t>(histogram.counts().size()));
    }
  }
  HdrHistogram widest(1, kInt64Max, 1);
  CHECK(widest.record(kInt64Max));
  CHECK_EQ(widest.highest_equivalent(kInt64Max), kInt64Max);
  CHECK_EQ(known(widest.value_at_percentile(100.0)), kInt64Max);
}

void an_empty_histogram_has_no_values() {
  const HdrHistogram empty(1, 1000, 3);
  CHECK(!empty.min() && !empty.max() && !empty.mean() && !empty.standard_deviation());
  CHECK(!empty.value_at_percentile(50.0) && !empty.percentile_at_value(10));
  CHECK_EQ(empty.count_between(0, 1000), 0);
  CHECK_EQ(empty.total_count(), 0);
  CHECK(empty.recorded_buckets().empty());
}

void losses_are_counted_and_nothing_is_clamped() {
  HdrHistogram histogram(10, 1000, 3);
  CHECK(histogram.record(1000));
  CHECK(histogram.record(0));
  CHECK(histogram.record(9));  // below lowest: recorded, only not told apart below the unit of 8
  CHECK(!histogram.record(1001));
  CHECK(!histogram.record(-1));
  CHECK(!histogram.record_n(kInt64Max, 5));
  CHECK_EQ(histogram.total_count(), 3);
  CHECK_EQ(histogram.n_lost(), 7);
  CHECK_EQ(known(histogram.max()), 1000);
  CHECK_EQ(known(histogram.min()), 0);
  CHECK_EQ(histogram.record_many(std::vector<std::int64_t>{5, -5, 1001, 500, std::numeric_limits<std::int64_t>::min()}),
           2);
  CHECK_EQ(histogram.n_lost(), 10);
  CHECK(!histogram.record_n(-1, kInt64Max));
  CHECK_EQ(histogram.n_lost(), kInt64Max);
  histogram.reset();
  CHECK_EQ(histogram.n_lost(), 0);
  CHECK(histogram == HdrHistogram(10, 1000, 3));
}

void the_total_cannot_overflow() {
  HdrHistogram histogram(1, 1000, 2);
  CHECK(histogram.record_n(7, kInt64Max - 1));
  CHECK(histogram.record(900));
  const HdrHistogram full = histogram;
  CHECK_THROWS(histogram.record(7), std::overflow_error);
  CHECK_THROWS(histogram.record_many(std::vector<std::int64_t>{7}), std::overflow_error);
  CHECK_THROWS(histogram.record_corrected(100, 10), std::overflow_error);
  CHECK_THROWS(histogram.merge(full), std::overflow_error);
  CHECK_THROWS(histogram.record_n(7, -1), std::invalid_argument);
  CHECK(histogram == full);
  CHECK_EQ(known(histogram.value_at_percentile(50.0)), 7);
  CHECK_EQ(known(histogram.value_at_percentile(100.0)), histogram.highest_equivalent(900));
}

void correction_fills_in_what_a_waiting_generator_missed() {
  HdrHistogram raw(1, kHourUs, 3);
  HdrHistogram corrected(1, kHourUs, 3);
  for (auto* histogram : {&raw, &corrected}) CHECK(histogram->record_n(1'000, 10'000));
  CHECK(raw.record(100'000'000));
  CHECK(corrected.record_corrected(100'000'000, 10'000));
  CHECK_EQ(raw.total_count(), 10'001);
  CHECK_EQ(corrected.total_count(), 20'000);
  CHECK_EQ(known(raw.value_at_percentile(99.0)), 1'000);
  CHECK_EQ(known(corrected.value_at_percentile(50.0)), 1'000);
  CHECK_EQ(known(corrected.value_at_percentile(75.0)), corrected.highest_equivalent(50'000'000));
  CHECK_EQ(known(corrected.value_at_percentile(100.0)), corrected.highest_equivalent(100'000'000));
}

void correction_equals_recording_one_by_one() {
  std::mt19937_64 random(7);
  for (int i = 0; i < 2'000; ++i) {
    const auto value = static_cast<std::int64_t>(random() % 30'000) - 100;
    const auto interval = static_cast<std::int64_t>(random() % (i % 2 ? 20 : 12'000));
    HdrHistogram corrected(3, 20'000, 1 + i % 3);
    HdrHistogram single = corrected;
    bool all_recorded = single.record(value);
    if (interval > 0) {
      for (auto missed = value - interval; missed >= interval; missed -= interval)
        all_recorded &= single.record(missed);
    }
    CHECK_EQ(corrected.record_corrected(value, interval), all_recorded);
    CHECK(corrected == single);
    CHECK(corrected.min() == single.min() && corrected.max() == single.max());
  }
  HdrHistogram hour(1, kInt64Max, 3);  // 9.2e18 values in as many rounds as there are buckets
  CHECK(hour.record_corrected(kInt64Max, 1));
  CHECK_EQ(hour.total_count(), kInt64Max);
  CHECK_EQ(known(hour.min()), 1);
  CHECK_THROWS(hour.record_corrected(5, -1), std::invalid_argument);
}

void scaling_by_a_power_of_two_keeps_the_percentiles() {
  std::mt19937_64 random(11);
  HdrHistogram plain(1, kHourUs, 3);
  HdrHistogram scaled(512, kHourUs * 512, 3);
  for (int i = 0; i < 20'000; ++i) {
    const auto value = static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(kHourUs >> (random() % 30)));
    CHECK(plain.record(value));
    CHECK(scaled.record(value * 512));
  }
  for (double percentile : {0.0, 10.0, 50.0, 75.0, 90.0, 99.0, 99.9, 99.99, 100.0}) {
    const auto expected = plain.highest_equivalent(known(plain.value_at_percentile(percentile))) * 512 + 511;
    CHECK_EQ(known(scaled.value_at_percentile(percentile)), expected);
  }
}

void moments_and_shares_of_a_short_row() {
  const auto histogram = with_values(HdrHistogram(1, 10'000, 3), {2, 4, 4, 4, 5, 5, 7, 9});
  CHECK_EQ(known(histogram.mean()), 5.0);
  CHECK_EQ(known(histogram.standard_deviation()), 2.0);
  CHECK_EQ(known(histogram.percentile_at_value(4)), 50.0);
  CHECK_EQ(known(histogram.percentile_at_value(-1)), 0.0);
  CHECK_EQ(known(histogram.percentile_at_value(kInt64Max)), 100.0);
  CHECK_EQ(histogram.count_between(4, 5), 5);
  CHECK_EQ(histogram.count_between(-10, kInt64Max), 8);
  CHECK_EQ(histogram.count_between(-10, -1), 0);
  CHECK_EQ(histogram.count_between(100, 200), 0);
  CHECK_THROWS(histogram.count_between(5, 4), std::invalid_argument);
  CHECK_THROWS(histogram.lowest_equivalent(10'001), std::invalid_argument);
  CHECK_THROWS(histogram.highest_equivalent(-1), std::invalid_argument);
  const auto one = with_values(HdrHistogram(1000, kHourUs, 4), {1000});
  CHECK_EQ(known(one.mean()), 1000.0);  // the bucket's middle is 768; the minimum says more
}

void merging_adds_counts_and_losses() {
  auto sum = with_values(HdrHistogram(1, 100'000, 3), {1, 50, 99'999, -1});
  CHECK_EQ(sum.merge(with_values(HdrHistogram(1, 100'000, 3), {3, 100'001})), 0);
  CHECK(sum == with_values(HdrHistogram(1, 100'000, 3), {1, 50, 99'999, -1, 3, 100'001}));

  CHECK_EQ(sum.merge(sum), 0);
  CHECK_EQ(sum.total_count(), 8);
  CHECK_EQ(sum.n_lost(), 4);

  auto small = with_values(HdrHistogram(1, 1'000, 3), {5});
  CHECK_EQ(small.merge(with_values(HdrHistogram(1, 100'000, 3), {7, 2'000, 2'001, 90'000})), 3);
  CHECK_EQ(small.total_count(), 2);
  CHECK_EQ(small.n_lost(), 3);
  CHECK_EQ(known(small.max()), 7);

  auto fine = HdrHistogram(1, 100'000, 5);  // another layout: minimum and maximum stay exact
  CHECK_EQ(fine.merge(with_values(HdrHistogram(1, 100'000, 1), {77, 78, 54'321, 54'322})), 0);
  CHECK_EQ(fine.total_count(), 4);
  CHECK_EQ(known(fine.min()), 77);
  CHECK_EQ(known(fine.max()), 54'322);
  CHECK_EQ(known(fine.value_at_percentile(100.0)), 54'322);

  auto untouched = with_values(HdrHistogram(1, 1'000, 3), {5});
  CHECK_EQ(untouched.merge(HdrHistogram(2, 100'000, 1)), 0);
  CHECK_EQ(untouched.merge(HdrHistogram(1, 1'000, 3)), 0);
  CHECK_EQ(known(untouched.min()), 5);
  CHECK(untouched == with_values(HdrHistogram(1, 1'000, 3), {5}));
}

void restoring_checks_what_it_is_given() {
  const auto saved = with_values(HdrHistogram(10, 100'000, 2), {3, 500, 99'000, -4});
  const auto buckets = saved.recorded_buckets();
  const auto back =
      HdrHistogram::restore(10, 100'000, 2, buckets, known(saved.min()), known(saved.max()), saved.n_lost());
  CHECK(back == saved);
  CHECK(back.min() == saved.min() && back.max() == saved.max());
  CHECK(HdrHistogram::restore(10, 100'000, 2, {}, 0, 0, 0) == HdrHistogram(10, 100'000, 2));

  const auto restored = [&](std::vector<HdrHistogram::Bucket> changed, std::int64_t min, std::int64_t max,
                            std::int64_t n_lost) {
    return HdrHistogram::restore(10, 100'000, 2, changed, min, max, n_lost);
  };
  CHECK_THROWS(restored(buckets, 100, 99'000, 0), std::invalid_argument);
  CHECK_THROWS(restored(buckets, 3, 5, 0), std::invalid_argument);
  CHECK_THROWS(restored(buckets, 3, 99'000, -1), std::invalid_argument);
  CHECK_THROWS(restored({{1, 2}, {1, 2}}, 8, 8, 0), std::invalid_argument);
  CHECK_THROWS(restored({{1'000'000, 2}}, 8, 8, 0), std::invalid_argument);
  CHECK_THROWS(restored({{-1, 2}}, 8, 8, 0), std::invalid_argument);
  CHECK_THROWS(restored({{1, 0}}, 8, 8, 0), std::invalid_argument);
  CHECK_THROWS(restored({{1, 2}}, 9, 8, 0), std::invalid_argument);
  CHECK_THROWS(restored({{1, kInt64Max}, {2, 1}}, 8, 16, 0), std::overflow_error);
}

void percentiles_match_the_sorted_values() {
  std::mt19937_64 random(3);
  for (int digits = 1; digits <= 5; ++digits) {
    std::vector<std::int64_t> values(5'000);
    for (auto& value : values) value = static_cast<std::int64_t>(random() >> (24 + random() % 40));
    HdrHistogram many(1000, 3'600'000'000'000, digits);
    HdrHistogram single = many;
    CHECK_EQ(many.record_many(values), 5'000);
    for (const auto value : values) CHECK(single.record(value));
    CHECK(many == single);
    std::sort(values.begin(), values.end());
    for (int tenths = 0; tenths <= 1'000; tenths += 3) {
      const double percentile = tenths / 10.0;
      const auto exact = values[static_cast<std::size_t>(percentile_rank(percentile, 5'000) - 1)];
      CHECK_EQ(known(many.value_at_percentile(percentile)), many.highest_equivalent(exact));
    }
  }
}

}  // namespace

int main() {
  ranks_are_the_smallest_that_reach_the_share();
  parameters_are_checked();
  every_bucket_covers_its_own_range_and_no_other();
  an_empty_histogram_has_no_values();
  losses_are_counted_and_nothing_is_clamped();
  the_total_cannot_overflow();
  correction_fills_in_what_a_waiting_generator_missed();
  correction_equals_recording_one_by_one();
  scaling_by_a_power_of_two_keeps_the_percentiles();
  moments_and_shares_of_a_short_row();
  merging_adds_counts_and_losses();
  restoring_checks_what_it_is_given();
  percentiles_match_the_sorted_values();
}
