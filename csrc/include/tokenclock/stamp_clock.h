// now_ns() for the call made per token: the processor's cycle counter, kept in step with CLOCK_MONOTONIC. Falls back to
// CLOCK_MONOTONIC itself wherever the kernel does not keep its own time by that counter.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>

#include "tokenclock/clock.h"

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace tokenclock {

// A straight line from ticks to ns, good for span_ticks after its start. span_ticks 0: good for nothing.
struct TickSegment {
  std::uint64_t base_ticks = 0;
  std::int64_t base_ns = 0;
  std::uint64_t ns_per_tick_q32 = 0;  // times 2^32
  std::uint64_t span_ticks = 0;

  [[nodiscard]] std::int64_t to_ns(std::uint64_t ticks) const noexcept {
    return base_ns + static_cast<std::int64_t>(((ticks - base_ticks) * ns_per_tick_q32) >> 32);
  }
};

// Turns pairs (ticks, ns) read at the same instant into segments. The rate is measured over the last 0.1 to 0.2 s, so
// that it follows NTP's slewing of CLOCK_MONOTONIC, and each segment is so short that what it misses stays small.
class TickCalibration {
 public:
  static constexpr std::int64_t kSegmentNs = 10'000'000;    // also the shortest baseline that gives a rate
  static constexpr std::int64_t kBaselineNs = 100'000'000;  // a pair error of 20 ns over it: 0.2 ppm, 2 ns per segment
  static constexpr double kMaxRateChange = 1e-3;            // more is no slewing: the machine slept or was moved

  // The segment that starts at this pair; unusable until the baseline suffices, and anew after a jump.
  TickSegment update(std::uint64_t ticks, std::int64_t t_ns) noexcept;

  // How far the end of a segment lay from the pair read there, at worst so far.
  [[nodiscard]] std::int64_t max_error_ns() const noexcept { return max_error_ns_; }

 private:
  struct Pair {
    std::uint64_t ticks;
    std::int64_t t_ns;
  };
  TickSegment restart(const Pair& pair) noexcept;

  bool started_ = false;
  Pair older_{};
  Pair newer_{};
  double ns_per_tick_ = 0;  // 0: not known yet
  TickSegment segment_;
  std::int64_t max_error_ns_ = 0;
};

// Shared by all threads.
class StampClock {
 public:
  // The one that recorders use: ticks where the kernel trusts them.
  [[nodiscard]] static StampClock& instance() noexcept;
  // Without ticks it is now_ns().
  explicit StampClock(bool use_ticks) noexcept;

  // now_ns() at about half its price, off by max_error_ns() at most. Where one segment ends and the next begins, time
  // may step back by that much: a caller that needs order keeps its own last instant.
  [[nodiscard]] std::int64_t now_ns() noexcept {
#if defined(__x86_64__)
    // A seqlock whose loads are all acquire: a torn segment is seen as a changed sequence.
    const std::uint32_t sequence = sequence_.load(std::memory_order_acquire);
    const TickSegment segment{.base_ticks = base_ticks_.load(std::memory_order_acquire),
                              .base_ns = base_ns_.load(std::memory_order_acquire),
                              .ns_per_tick_q32 = ns_per_tick_q32_.load(std::memory_order_acquire),
                              .span_ticks = span_ticks_.load(std::memory_order_acquire)};
    const bool is_whole = sequence == sequence_.load(std::memory_order_relaxed) && (sequence & 1U) == 0;
    if (is_whole && segment.span_ticks > 0) [[likely]] {
      const std::uint64_t ticks = __rdtsc();
      if (ticks - segment.base_ticks < segment.span_ticks) [[likely]]
        return segment.to_ns(ticks);
    }
    return slow_now_ns();
#else
    return tokenclock::now_ns();
#endif
  }

  [[nodiscard]] bool uses_ticks() const noexcept { return uses_ticks_; }
  // How far a stamp lay from now_ns() at worst so far; 0 without ticks.
  [[nodiscard]] std::int64_t max_error_ns() const noexcept { return max_error_ns_.load(std::memory_order_relaxed); }

 private:
  std::int64_t slow_now_ns() noexcept;
  void publish(const TickSegment& segment) noexcept;

  alignas(64) std::atomic<std::uint32_t> sequence_{0};
  std::atomic<std::uint64_t> base_ticks_{0};
  std::atomic<std::int64_t> base_ns_{0};
  std::atomic<std::uint64_t> ns_per_tick_q32_{0};
  std::atomic<std::uint64_t> span_ticks_{0};

  // Below: owned by whoever holds refreshing_, but for the two that are read by all.
  alignas(64) std::atomic_flag refreshing_ = ATOMIC_FLAG_INIT;
  std::atomic<std::int64_t> t_next_pair_ns_{kMissingNs};
  std::atomic<std::int64_t> max_error_ns_{0};
  const bool uses_ticks_;
  TickCalibration calibration_;
  std::uint64_t usual_width_ticks_ = std::numeric_limits<std::uint64_t>::max() / 2;
};

}  // namespace tokenclock
