#include "tokenclock/clock.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <ctime>

namespace tokenclock {
namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;

// The clock behind Python's time.perf_counter_ns(): macOS reads mach_absolute_time there, which POSIX's name is not.
#if defined(__APPLE__)
constexpr clockid_t kMonotonicClock = CLOCK_UPTIME_RAW;
#else
constexpr clockid_t kMonotonicClock = CLOCK_MONOTONIC;
#endif

std::int64_t read_ns(clockid_t clock) noexcept {
  timespec t;
  // Cannot fail: the pointer is valid and both clocks exist on every system this builds on.
  ::clock_gettime(clock, &t);
  return static_cast<std::int64_t>(t.tv_sec) * kNsPerSecond + static_cast<std::int64_t>(t.tv_nsec);
}

class SystemClockSource final : public ClockSource {
 public:
  [[nodiscard]] std::int64_t monotonic_ns() const noexcept override { return now_ns(); }
  [[nodiscard]] std::int64_t realtime_ns() const noexcept override { return read_ns(CLOCK_REALTIME); }
};

}  // namespace

std::int64_t now_ns() noexcept { return read_ns(kMonotonicClock); }

const ClockSource& system_clock_source() noexcept {
  static const SystemClockSource source;
  return source;
}

ClockFacts measure_clock() {
  constexpr std::size_t kRounds = 31;  // odd, so that the median is one of them; 31 x 1000 reads take about 1 ms
  constexpr int kReadsPerRound = 1000;
  std::int64_t resolution_ns = std::numeric_limits<std::int64_t>::max();
  std::array<double, kRounds> cost_ns{};
  for (double& cost : cost_ns) {
    const std::int64_t t_start_ns = now_ns();
    std::int64_t t_previous_ns = t_start_ns;
    for (int i = 0; i < kReadsPerRound; ++i) {
      const std::int64_t t_ns = now_ns();
      if (t_ns > t_previous_ns) resolution_ns = std::min(resolution_ns, t_ns - t_previous_ns);
      t_previous_ns = t_ns;
    }
    cost = static_cast<double>(t_previous_ns - t_start_ns) / kReadsPerRound;
  }
  // A clock too coarse to tick during all of that: wait for one tick, which is its resolution.
  if (resolution_ns == std::numeric_limits<std::int64_t>::max()) {
    const std::int64_t t_start_ns = now_ns();
    std::int64_t t_ns = t_start_ns;
    while (t_ns == t_start_ns) t_ns = now_ns();
    resolution_ns = t_ns - t_start_ns;
  }
  std::nth_element(cost_ns.begin(), cost_ns.begin() + kRounds / 2, cost_ns.end());
  return {.resolution_ns = resolution_ns, .read_cost_ns = cost_ns[kRounds / 2]};
}

ClockAnchor take_anchor(const ClockSource& source, int n_tries) noexcept {
  ClockAnchor best{.t_mono_ns = 0, .offset_ns = 0, .uncertainty_ns = std::numeric_limits<std::int64_t>::max()};
  for (int i = 0; i < std::max(1, n_tries); ++i) {
    const std::int64_t t_before_ns = source.monotonic_ns();
    const std::int64_t t_real_ns = source.realtime_ns();
    const std::int64_t width_ns = source.monotonic_ns() - t_before_ns;
    // The wall clock was read somewhere inside the sandwich: its middle is off by half its width at most, rounded up.
    const std::int64_t uncertainty_ns = (width_ns + 1) / 2;
    if (uncertainty_ns >= best.uncertainty_ns) continue;
    const std::int64_t t_middle_ns = t_before_ns + width_ns / 2;
    best = {.t_mono_ns = t_middle_ns, .offset_ns = t_real_ns - t_middle_ns, .uncertainty_ns = uncertainty_ns};
  }
  return best;
}

WallClock::WallClock(const ClockSource& source) noexcept
    : source_(&source), anchor_(take_anchor(source)), max_uncertainty_ns_(anchor_.uncertainty_ns) {}

std::int64_t WallClock::to_monotonic_ns(std::int64_t t_realtime_ns) const noexcept {
  return t_realtime_ns - anchor_.offset_ns;
}

WallClock::Refresh WallClock::refresh(std::int64_t t_now_ns) noexcept {
  if (t_now_ns - anchor_.t_mono_ns < kRefreshIntervalNs) return Refresh::not_due;
  return refresh_now();
}

// On Linux NTP slews CLOCK_REALTIME and CLOCK_MONOTONIC alike: their difference moves only when somebody sets the wall
// clock (or a leap second does). So a moved offset is a step, and no allowance is made for a slew of the wall clock
// alone: where a system has one, 500 ppm x 100 ms = 50 us pass the threshold, and stamps converted meanwhile are off
// by that much, whatever moved the clock.
WallClock::Refresh WallClock::refresh_now() noexcept {
  const ClockAnchor fresh = take_anchor(*source_);
  const std::int64_t moved_ns = std::abs(fresh.offset_ns - anchor_.offset_ns);
  const bool stepped = moved_ns > kStepThresholdNs + fresh.uncertainty_ns + anchor_.uncertainty_ns;
  if (!stepped && fresh.uncertainty_ns > anchor_.uncertainty_ns && moved_ns <= fresh.uncertainty_ns) {
    // A looser sandwich (the thread was preempted in it) that agrees with the standing offset teaches nothing new.
    anchor_.t_mono_ns = fresh.t_mono_ns;
    return Refresh::steady;
  }
  anchor_ = fresh;
  max_uncertainty_ns_ = std::max(max_uncertainty_ns_, fresh.uncertainty_ns);
  if (!stepped) return Refresh::steady;
  ++n_steps_;
  return Refresh::stepped;
}

const ClockAnchor& WallClock::anchor() const noexcept { return anchor_; }
std::int64_t WallClock::n_steps() const noexcept { return n_steps_; }
std::int64_t WallClock::max_uncertainty_ns() const noexcept { return max_uncertainty_ns_; }

}  // namespace tokenclock
