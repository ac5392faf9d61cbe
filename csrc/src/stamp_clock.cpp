#include "tokenclock/stamp_clock.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <string>

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/prctl.h>
#endif

namespace tokenclock {
namespace {

#if defined(__x86_64__) && defined(__linux__)
// The counter ticks at one rate in every power state, this process may read it, and the kernel, which watches that it
// runs alike on all cores, keeps its own time by it.
bool ticks_are_trustworthy() noexcept try {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  constexpr unsigned kPowerManagementLeaf = 0x80000007U;
  constexpr unsigned kInvariantTsc = 1U << 8;
  if (__get_cpuid(kPowerManagementLeaf, &eax, &ebx, &ecx, &edx) == 0 || (edx & kInvariantTsc) == 0) return false;
  int permission = 0;
  if (::prctl(PR_GET_TSC, &permission) != 0 || permission != PR_TSC_ENABLE) return false;
  std::string clock_source;
  std::ifstream("/sys/devices/system/clocksource/clocksource0/current_clocksource") >> clock_source;
  return clock_source == "tsc";
} catch (const std::exception&) {
  return false;  // no memory for a few bytes of text: the kernel's clock needs none
}
#else
bool ticks_are_trustworthy() noexcept { return false; }
#endif

#if defined(__x86_64__)
struct PairRead {
  std::uint64_t ticks;
  std::int64_t t_ns;
  std::uint64_t width_ticks;  // the pair is wrong by half of it at most
};

PairRead read_pair() noexcept {
  unsigned core = 0;
  const std::uint64_t ticks_before = __rdtscp(&core);
  const std::int64_t t_ns = now_ns();
  const std::uint64_t width_ticks = __rdtscp(&core) - ticks_before;
  return {.ticks = ticks_before + width_ticks / 2, .t_ns = t_ns, .width_ticks = width_ticks};
}
#endif

}  // namespace

TickSegment TickCalibration::restart(const Pair& pair) noexcept {
  started_ = true;
  older_ = newer_ = pair;
  ns_per_tick_ = 0;
  segment_ = {};
  return segment_;
}

TickSegment TickCalibration::update(std::uint64_t ticks, std::int64_t t_ns) noexcept {
  const Pair pair{.ticks = ticks, .t_ns = t_ns};
  if (!started_ || ticks <= older_.ticks || t_ns <= older_.t_ns) return restart(pair);
  if (t_ns - older_.t_ns < kSegmentNs) return segment_;
  const double ns_per_tick = static_cast<double>(t_ns - older_.t_ns) / static_cast<double>(ticks - older_.ticks);
  if (ns_per_tick_ > 0 && std::abs(ns_per_tick / ns_per_tick_ - 1) > kMaxRateChange) return restart(pair);
  // Only while the segment was still about in use: past its span nobody was given an instant by it.
  if (segment_.span_ticks > 0 && ticks - segment_.base_ticks < 2 * segment_.span_ticks) {
    max_error_ns_ = std::max<std::int64_t>(max_error_ns_, std::abs(segment_.to_ns(ticks) - t_ns));
  }
  ns_per_tick_ = ns_per_tick;
  segment_ = {.base_ticks = ticks,
              .base_ns = t_ns,
              .ns_per_tick_q32 = static_cast<std::uint64_t>(std::llround(std::ldexp(ns_per_tick, 32))),
              .span_ticks = static_cast<std::uint64_t>(static_cast<double>(kSegmentNs) / ns_per_tick)};
  if (t_ns - newer_.t_ns >= kBaselineNs) {
    older_ = newer_;
    newer_ = pair;
  }
  return segment_;
}

StampClock::StampClock(bool use_ticks) noexcept : uses_ticks_(use_ticks) {
#if defined(__x86_64__)
  if (!uses_ticks_) return;
  constexpr int kWarmUps = 16;
  for (int i = 0; i < kWarmUps; ++i) usual_width_ticks_ = std::min(usual_width_ticks_, read_pair().width_ticks);
  static_cast<void>(slow_now_ns());  // the first pair: the baseline starts here
#endif
}

StampClock& StampClock::instance() noexcept {
  static StampClock clock(ticks_are_trustworthy());
  return clock;
}

void StampClock::publish(const TickSegment& segment) noexcept {
  const std::uint32_t sequence = sequence_.load(std::memory_order_relaxed);
  sequence_.store(sequence + 1, std::memory_order_relaxed);
  base_ticks_.store(segment.base_ticks, std::memory_order_release);
  base_ns_.store(segment.base_ns, std::memory_order_release);
  ns_per_tick_q32_.store(segment.ns_per_tick_q32, std::memory_order_release);
  span_ticks_.store(segment.span_ticks, std::memory_order_release);
  sequence_.store(sequence + 2, std::memory_order_release);
}

// Reads the kernel's clock, and when a segment has ended, between two reads of the counter, to start the next.
std::int64_t StampClock::slow_now_ns() noexcept {
#if defined(__x86_64__)
  if (!uses_ticks_) return tokenclock::now_ns();
  // Most calls that come here find the first baseline still growing: they get the plain clock at its plain price.
  const std::int64_t t_now_ns = tokenclock::now_ns();
  if (t_now_ns < t_next_pair_ns_.load(std::memory_order_relaxed)) return t_now_ns;
  if (refreshing_.test_and_set(std::memory_order_acquire)) return t_now_ns;  // somebody else is at it
  const auto [ticks, t_ns, width_ticks] = read_pair();
  if (width_ticks > usual_width_ticks_ + usual_width_ticks_ / 4) {
    usual_width_ticks_ += usual_width_ticks_ / 8 + 1;  // interrupted: the next stamp tries again, less strictly
  } else {
    usual_width_ticks_ = std::min(usual_width_ticks_, width_ticks);
    publish(calibration_.update(ticks, t_ns));
    max_error_ns_.store(calibration_.max_error_ns(), std::memory_order_relaxed);
    t_next_pair_ns_.store(t_ns + TickCalibration::kSegmentNs, std::memory_order_relaxed);
  }
  refreshing_.clear(std::memory_order_release);
  return t_now_ns;
#else
  return tokenclock::now_ns();
#endif
}

}  // namespace tokenclock
