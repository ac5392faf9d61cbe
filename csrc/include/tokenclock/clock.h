// The one clock: CLOCK_MONOTONIC nanoseconds, and the bridge from the kernel's CLOCK_REALTIME receive stamps to it.
#pragma once

#include <cstdint>
#include <limits>

namespace tokenclock {

// An absent instant, in every column and return value. Never 0.
inline constexpr std::int64_t kMissingNs = std::numeric_limits<std::int64_t>::min();

// CLOCK_MONOTONIC, ns. The same clock as Python's time.perf_counter_ns().
[[nodiscard]] std::int64_t now_ns() noexcept;

// Both clocks behind one interface, so that tests can step the wall clock without touching the machine's.
class ClockSource {
 public:
  virtual ~ClockSource() = default;
  [[nodiscard]] virtual std::int64_t monotonic_ns() const noexcept = 0;
  [[nodiscard]] virtual std::int64_t realtime_ns() const noexcept = 0;
};
[[nodiscard]] const ClockSource& system_clock_source() noexcept;

struct ClockFacts {
  std::int64_t resolution_ns;  // smallest positive difference seen between successive reads
  double read_cost_ns;         // median cost of one read
};
[[nodiscard]] ClockFacts measure_clock();

// At monotonic instant t_mono_ns the wall clock stood offset_ns ahead, give or take uncertainty_ns.
struct ClockAnchor {
  std::int64_t t_mono_ns;
  std::int64_t offset_ns;
  std::int64_t uncertainty_ns;
};
// Reads realtime between two monotonic reads, n_tries times; keeps the tightest sandwich.
[[nodiscard]] ClockAnchor take_anchor(const ClockSource& source, int n_tries = 5) noexcept;

// Converts wall-clock stamps to the monotonic clock by the latest anchor, and notices when the wall clock was stepped.
class WallClock {
 public:
  static constexpr std::int64_t kRefreshIntervalNs = 100'000'000;
  static constexpr std::int64_t kStepThresholdNs =
      20'000;  // two anchors further apart than this: stamps between are void

  explicit WallClock(const ClockSource& source = system_clock_source()) noexcept;

  [[nodiscard]] std::int64_t to_monotonic_ns(std::int64_t t_realtime_ns) const noexcept;

  enum class Refresh : std::uint8_t { not_due, steady, stepped };
  // Re-takes the anchor when kRefreshIntervalNs went by since the last. `stepped`: the offset moved by more than
  // kStepThresholdNs (plus both uncertainties), so whatever was converted since the previous anchor is not to be
  // trusted.
  Refresh refresh(std::int64_t t_now_ns) noexcept;
  Refresh refresh_now() noexcept;

  [[nodiscard]] const ClockAnchor& anchor() const noexcept;
  [[nodiscard]] std::int64_t n_steps() const noexcept;
  [[nodiscard]] std::int64_t max_uncertainty_ns() const noexcept;

 private:
  const ClockSource* source_;
  ClockAnchor anchor_;
  std::int64_t n_steps_ = 0;
  std::int64_t max_uncertainty_ns_ = 0;
};

}  // namespace tokenclock
