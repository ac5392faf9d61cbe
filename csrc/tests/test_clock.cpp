#include <ctime>

#include "check.h"
#include "tokenclock/clock.h"

namespace {

using tokenclock::ClockAnchor;
using tokenclock::WallClock;

constexpr std::int64_t kInterval = WallClock::kRefreshIntervalNs;
constexpr std::int64_t kEpoch = 1'700'000'000'000'000'000;

// Both clocks by hand. Each read takes read_cost_ns, as real ones do.
class FakeClocks final : public tokenclock::ClockSource {
 public:
  std::int64_t read_cost_ns = 40;
  double wall_rate = 1.0;  // of the wall clock alone

  void advance(std::int64_t by_ns) const noexcept {
    mono_ns_ += by_ns;
    wall_ns_ += static_cast<double>(by_ns) * wall_rate;
  }
  void step_wall(std::int64_t by_ns) noexcept { offset_ns_ += by_ns; }
  // The next read of the wall clock is followed by an interruption of this length.
  void interrupt(std::int64_t length_ns, int times) noexcept { interrupt_ns_ = length_ns, interrupts_left_ = times; }

  [[nodiscard]] std::int64_t monotonic_ns() const noexcept override {
    advance(read_cost_ns);
    return mono_ns_;
  }
  [[nodiscard]] std::int64_t realtime_ns() const noexcept override {
    advance(read_cost_ns);
    const std::int64_t t_ns = true_wall_ns();
    if (interrupts_left_ > 0) --interrupts_left_, advance(interrupt_ns_);
    return t_ns;
  }
  [[nodiscard]] std::int64_t true_mono_ns() const noexcept { return mono_ns_; }
  [[nodiscard]] std::int64_t true_wall_ns() const noexcept {
    return kEpoch + offset_ns_ + static_cast<std::int64_t>(wall_ns_);
  }

 private:
  std::int64_t offset_ns_ = 0;
  mutable std::int64_t mono_ns_ = 1'000'000'000;
  mutable double wall_ns_ = 0;
  std::int64_t interrupt_ns_ = 0;
  mutable int interrupts_left_ = 0;
};

std::int64_t conversion_error_ns(const FakeClocks& clocks, const WallClock& wall) {
  return std::abs(wall.to_monotonic_ns(clocks.true_wall_ns()) - clocks.true_mono_ns());
}

void now_is_clock_monotonic() {
  for (int i = 0; i < 1000; ++i) {
    const std::int64_t before = tokenclock::now_ns();
    timespec t;
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    const std::int64_t after = tokenclock::now_ns();
    const std::int64_t between = static_cast<std::int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
    CHECK(before <= between && between <= after);
  }
}

void facts_are_plausible() {
  const tokenclock::ClockFacts facts = tokenclock::measure_clock();
  CHECK(facts.resolution_ns >= 1 && facts.resolution_ns < 1'000'000);
  CHECK(facts.read_cost_ns > 0.5 && facts.read_cost_ns < 100'000);
}

void an_anchor_brackets_the_truth() {
  const FakeClocks clocks;
  const ClockAnchor anchor = tokenclock::take_anchor(clocks);
  CHECK_EQ(anchor.uncertainty_ns, 40);  // a sandwich of two reads of 40 ns
  const std::int64_t truth_ns = clocks.true_wall_ns() - clocks.true_mono_ns();
  CHECK(std::abs(anchor.offset_ns - truth_ns) <= anchor.uncertainty_ns);
}

void an_anchor_keeps_the_tightest_sandwich() {
  FakeClocks clocks;
  clocks.interrupt(1'000'000, 4);  // four of five tries
  CHECK_EQ(tokenclock::take_anchor(clocks).uncertainty_ns, 40);
  clocks.interrupt(1'000'000, 1);
  CHECK(tokenclock::take_anchor(clocks, 1).uncertainty_ns >= 500'000);
  CHECK_EQ(tokenclock::take_anchor(clocks, 0).uncertainty_ns, 40);  // never fewer than one try
}

void a_real_anchor_converts_real_stamps() {
  WallClock wall;
  timespec t;
  const std::int64_t before = tokenclock::now_ns();
  ::clock_gettime(CLOCK_REALTIME, &t);
  const std::int64_t after = tokenclock::now_ns();
  const std::int64_t converted = wall.to_monotonic_ns(static_cast<std::int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec);
  const std::int64_t slack_ns = wall.anchor().uncertainty_ns + WallClock::kStepThresholdNs;
  CHECK(converted >= before - slack_ns && converted <= after + slack_ns);
}

void a_quiet_clock_is_steady() {
  const FakeClocks clocks;
  WallClock wall(clocks);
  CHECK(wall.refresh(clocks.true_mono_ns() + kInterval / 2) == WallClock::Refresh::not_due);
  for (int i = 0; i < 100; ++i) {
    clocks.advance(kInterval);
    CHECK(wall.refresh(clocks.true_mono_ns()) == WallClock::Refresh::steady);
  }
  CHECK_EQ(wall.n_steps(), 0);
  CHECK(conversion_error_ns(clocks, wall) <= 40);
}

void steps_are_noticed(std::int64_t by_ns) {
  FakeClocks clocks;
  WallClock wall(clocks);
  clocks.advance(kInterval);
  clocks.step_wall(by_ns);
  CHECK(conversion_error_ns(clocks, wall) > WallClock::kStepThresholdNs);
  CHECK(wall.refresh(clocks.true_mono_ns()) == WallClock::Refresh::stepped);
  CHECK_EQ(wall.n_steps(), 1);
  CHECK(conversion_error_ns(clocks, wall) <= 40);  // the new anchor holds at once
  clocks.advance(kInterval);
  CHECK(wall.refresh(clocks.true_mono_ns()) == WallClock::Refresh::steady);
  CHECK_EQ(wall.n_steps(), 1);
}

// 100 ppm of the wall clock alone is 10 us per interval: no step, and followed. 500 ppm is 50 us, too far to trust.
void slews_of_the_wall_clock_alone() {
  FakeClocks clocks;
  clocks.wall_rate = 1.0 + 100e-6;
  WallClock slow(clocks);
  for (int i = 0; i < 50; ++i) {
    clocks.advance(kInterval);
    CHECK(conversion_error_ns(clocks, slow) < WallClock::kStepThresholdNs);
    CHECK(slow.refresh(clocks.true_mono_ns()) == WallClock::Refresh::steady);
  }
  CHECK_EQ(slow.n_steps(), 0);
  CHECK(conversion_error_ns(clocks, slow) <= 50);

  clocks.wall_rate = 1.0 + 500e-6;
  WallClock fast(clocks);
  clocks.advance(kInterval);
  CHECK(fast.refresh(clocks.true_mono_ns()) == WallClock::Refresh::stepped);
}

// The machine is busy when an anchor is due: nothing is called a step, and the better anchor stays in use.
void an_interrupted_anchor_is_no_step() {
  FakeClocks clocks;
  WallClock wall(clocks);
  clocks.advance(kInterval);
  clocks.interrupt(2'000'000, 5);  // all five tries
  CHECK(wall.refresh(clocks.true_mono_ns()) == WallClock::Refresh::steady);
  CHECK_EQ(wall.anchor().uncertainty_ns, 40);
  CHECK_EQ(wall.max_uncertainty_ns(), 40);
  CHECK(conversion_error_ns(clocks, wall) <= 40);
  CHECK(wall.refresh(clocks.true_mono_ns()) == WallClock::Refresh::not_due);
}

// Found at the first tight anchor after it, and the worst uncertainty ever in use is remembered.
void a_step_behind_an_interrupted_anchor_is_found_later() {
  FakeClocks clocks;
  WallClock wall(clocks);
  clocks.advance(kInterval);
  clocks.step_wall(200'000);
  clocks.interrupt(2'000'000, 5);
  CHECK(wall.refresh_now() == WallClock::Refresh::steady);
  CHECK(wall.refresh_now() == WallClock::Refresh::stepped);

  clocks.step_wall(50'000'000);
  clocks.interrupt(2'000'000, 5);
  CHECK(wall.refresh_now() == WallClock::Refresh::stepped);
  CHECK(wall.max_uncertainty_ns() >= 1'000'000);
  CHECK_EQ(wall.n_steps(), 2);
}

}  // namespace

int main() {
  now_is_clock_monotonic();
  facts_are_plausible();
  an_anchor_brackets_the_truth();
  an_anchor_keeps_the_tightest_sandwich();
  a_real_anchor_converts_real_stamps();
  a_quiet_clock_is_steady();
  for (const std::int64_t by_ns : {30'000L, -30'000L, 3'600'000'000'000L, -3'600'000'000'000L})
    steps_are_noticed(by_ns);
  slews_of_the_wall_clock_alone();
  an_interrupted_anchor_is_no_step();
  a_step_behind_an_interrupted_anchor_is_found_later();
}
