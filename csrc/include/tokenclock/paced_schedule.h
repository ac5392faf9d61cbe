// When the paced server is due to do what: seeded durations, the common step grid, who suffers which fault.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "tokenclock/paced_options.h"

namespace tokenclock {

// A small seeded generator whose numbers are the same on every platform. (seed, stream) pairs are independent.
class PacedRandom {
 public:
  PacedRandom(std::uint64_t seed, std::uint64_t stream) noexcept;
  [[nodiscard]] std::uint64_t next() noexcept;
  [[nodiscard]] double uniform() noexcept;  // [0, 1)
  [[nodiscard]] double normal() noexcept;   // mean 0, standard deviation 1

 private:
  std::uint64_t state_;
};

// One duration, >= 0 ns (a normal draw below 0 counts as 0).
[[nodiscard]] std::int64_t draw_ns(const DurationDraw& draw, PacedRandom& random) noexcept;

// The instants at which a continuously batching server would step: a grid that never drifts, made as far as needed.
class StepGrid {
 public:
  StepGrid(const DurationDraw& interval, std::uint64_t seed, std::int64_t t_start_ns);

  struct Step {
    std::int64_t index;
    std::int64_t t_ns;
  };
  // `t_ns` not before the start, nor before what forget_before() was told.
  [[nodiscard]] Step at_or_after(std::int64_t t_ns);
  // The next step; where that was forgotten, the first one that is still known.
  [[nodiscard]] Step after(Step step);
  void forget_before(std::int64_t t_ns);
  // Nobody holds a step: a grid of varying steps may start anew at `t_ns` instead of being drawn out up to there.
  void idle_until(std::int64_t t_ns);

 private:
  void extend();
  [[nodiscard]] std::int64_t back_index() const noexcept {
    return first_index_ + static_cast<std::int64_t>(times_.size()) - 1;
  }

  DurationDraw interval_;
  bool is_constant_;
  std::int64_t t_start_ns_;
  PacedRandom random_;
  std::int64_t first_index_ = 0;    // of times_, which only a varying grid needs
  std::deque<std::int64_t> times_;  // never empty; strictly increasing
};

// The fault of request k (none when no rule's share covers it), decided by the seed and k alone.
[[nodiscard]] const FaultRule* fault_of_request(const PacedOptions& options, std::int64_t request);
// Whether request k's stream is interleaved with comments.
[[nodiscard]] bool comments_of_request(const PacedOptions& options, std::int64_t request);
// After how many replies connection c is closed; 0: never.
[[nodiscard]] std::int32_t replies_of_connection(const PacedOptions& options, std::int64_t connection);

}  // namespace tokenclock
