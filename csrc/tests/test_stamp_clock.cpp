#include <atomic>
#include <thread>
#include <vector>

#include "check.h"
#include "tokenclock/stamp_clock.h"

namespace {

using tokenclock::StampClock;
using tokenclock::TickCalibration;
using tokenclock::TickSegment;

constexpr std::int64_t kSegmentNs = TickCalibration::kSegmentNs;

// A counter of 2.5 GHz whose rate against the clock can be changed.
struct Machine {
  double ticks = 5e9;
  std::int64_t t_ns = 1'000'000'000'000;
  double ticks_per_ns = 2.5;
  void advance(std::int64_t by_ns) {
    t_ns += by_ns;
    ticks += static_cast<double>(by_ns) * ticks_per_ns;
  }
  [[nodiscard]] std::uint64_t count() const { return static_cast<std::uint64_t>(ticks); }
};

bool usable(const TickSegment& segment) { return segment.span_ticks > 0; }

void needs_a_baseline_first() {
  Machine machine;
  TickCalibration calibration;
  CHECK(!usable(calibration.update(machine.count(), machine.t_ns)));
  machine.advance(kSegmentNs / 2);
  CHECK(!usable(calibration.update(machine.count(), machine.t_ns)));
  machine.advance(kSegmentNs / 2);
  const TickSegment segment = calibration.update(machine.count(), machine.t_ns);
  CHECK(usable(segment));
  CHECK_EQ(segment.to_ns(machine.count()), machine.t_ns);
  machine.advance(kSegmentNs - 1);
  CHECK(machine.count() - segment.base_ticks < segment.span_ticks);
  CHECK(std::abs(segment.to_ns(machine.count()) - machine.t_ns) <= 1);
}

void follows_a_slewed_clock() {
  Machine machine;
  TickCalibration calibration;
  TickSegment segment;
  for (int i = 0; i < 200; ++i) {
    machine.advance(kSegmentNs);
    segment = calibration.update(machine.count(), machine.t_ns);
  }
  CHECK(calibration.max_error_ns() <= 1);
  machine.ticks_per_ns *= 1 + 100e-6;  // NTP starts to slew: 1 us per segment until the baseline has caught up
  for (int i = 0; i < 50; ++i) {
    machine.advance(kSegmentNs);
    segment = calibration.update(machine.count(), machine.t_ns);
    CHECK(usable(segment));
  }
  CHECK(calibration.max_error_ns() >= 900 && calibration.max_error_ns() <= 1100);
  machine.advance(kSegmentNs);
  CHECK(std::abs(segment.to_ns(machine.count()) - machine.t_ns) <= 2);
}

void starts_anew_after_a_jump() {
  for (const double jump_ticks : {-4e9, 1e9}) {  // the counter was reset, or ran on while the clock stood still
    Machine machine;
    TickCalibration calibration;
    for (int i = 0; i < 5; ++i) {
      machine.advance(kSegmentNs);
      static_cast<void>(calibration.update(machine.count(), machine.t_ns));
    }
    machine.ticks += jump_ticks;
    machine.advance(kSegmentNs);
    CHECK(!usable(calibration.update(machine.count(), machine.t_ns)));
    machine.advance(kSegmentNs);
    const TickSegment segment = calibration.update(machine.count(), machine.t_ns);
    CHECK(usable(segment));
    machine.advance(kSegmentNs / 2);
    CHECK(std::abs(segment.to_ns(machine.count()) - machine.t_ns) <= 1);
    CHECK(calibration.max_error_ns() <= 1);
  }
}

// What it is for: the same instants as now_ns(), in every thread, while segments come and go.
void agrees_with_now_ns_in_all_threads() {
  constexpr std::int64_t kDurationNs = 150'000'000;
  constexpr std::int64_t kAllowedNs = 100'000;  // bounds an error of the mapping, not of a busy machine
  std::atomic<std::int64_t> n_wrong{0};
  constexpr std::size_t kThreads = 3;
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (std::size_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&n_wrong] {
      const std::int64_t t_end_ns = tokenclock::now_ns() + kDurationNs;
      for (std::int64_t before = 0, after = 0; after < t_end_ns;) {
        before = tokenclock::now_ns();
        const std::int64_t t_ns = StampClock::instance().now_ns();
        after = tokenclock::now_ns();
        if (t_ns < before - kAllowedNs || t_ns > after + kAllowedNs) ++n_wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_EQ(n_wrong.load(), 0);
  CHECK(StampClock::instance().max_error_ns() <= kAllowedNs);
}

// Where the kernel does not trust the counter: no mapping, no error.
void without_ticks_it_is_now_ns() {
  StampClock clock(false);
  CHECK(!clock.uses_ticks());
  for (int i = 0; i < 10'000; ++i) {
    const std::int64_t before = tokenclock::now_ns();
    const std::int64_t t_ns = clock.now_ns();
    CHECK(before <= t_ns && t_ns <= tokenclock::now_ns());
  }
  CHECK_EQ(clock.max_error_ns(), 0);
}

}  // namespace

int main() {
  needs_a_baseline_first();
  follows_a_slewed_clock();
  starts_anew_after_a_jump();
  agrees_with_now_ns_in_all_threads();
  without_ticks_it_is_now_ns();
}
