// Seeded durations, the common step grid, and who suffers which fault.
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "check.h"
#include "tokenclock/paced_schedule.h"

namespace {

using namespace tokenclock;

void check_draws(DrawShape shape) {
  const DurationDraw draw{shape, 20'000'000, 4'000'000};
  constexpr int kDraws = 100'000;
  PacedRandom random(7, 1);
  double sum = 0;
  double square_sum = 0;
  for (int i = 0; i < kDraws; ++i) {
    const auto value = static_cast<double>(draw_ns(draw, random));
    CHECK(value >= 0);
    sum += value;
    square_sum += value * value;
  }
  const double mean = sum / kDraws;
  const double deviation = std::sqrt(square_sum / kDraws - mean * mean);
  CHECK(std::abs(mean - 20e6) < 0.1e6);  // standard error 13 us
  CHECK(std::abs(deviation - 4e6) < 0.1e6);
}

void check_grid(const DurationDraw& interval) {
  StepGrid grid(interval, 3, 1000);
  StepGrid::Step step = grid.at_or_after(1000);
  CHECK_EQ(step.t_ns, 1000);
  CHECK_EQ(step.index, 0);
  std::vector<StepGrid::Step> steps{step};
  for (int i = 0; i < 500; ++i) {
    const StepGrid::Step next = grid.after(steps.back());
    CHECK(next.t_ns > steps.back().t_ns);
    CHECK_EQ(next.index, steps.back().index + 1);
    steps.push_back(next);
  }
  // whoever asks, and in whichever order: the same steps
  for (const StepGrid::Step& known : steps) {
    CHECK_EQ(grid.at_or_after(known.t_ns).index, known.index);
    CHECK_EQ(grid.at_or_after(known.t_ns - 1).index, known.index);
    if (known.index < 500) CHECK_EQ(grid.at_or_after(known.t_ns + 1).index, known.index + 1);
  }
  // a look far ahead takes nothing from those who go step by step
  (void)grid.at_or_after(steps.back().t_ns + 100 * interval.mean_ns);
  CHECK_EQ(grid.after(steps[10]).t_ns, steps[11].t_ns);
  // nor does forgetting the past change the future
  grid.forget_before(steps[400].t_ns);
  CHECK_EQ(grid.after(steps[450]).t_ns, steps[451].t_ns);
  CHECK_EQ(grid.at_or_after(steps[400].t_ns).index, 400);
  // after a long idle time it goes on from there
  const std::int64_t t_later_ns = steps.back().t_ns + 1'000'000 * interval.mean_ns;
  grid.idle_until(t_later_ns);
  const StepGrid::Step later = grid.at_or_after(t_later_ns);
  CHECK(later.t_ns >= t_later_ns && later.t_ns < t_later_ns + interval.mean_ns);
  CHECK(later.index > 500);
  CHECK(grid.after(later).t_ns > later.t_ns);
}

PacedOptions with_faults(std::vector<FaultRule> faults) {
  PacedOptions options;
  options.faults = std::move(faults);
  return options;
}

}  // namespace

int main() {
  // the generator: same seed, same numbers; other stream, other numbers
  PacedRandom a(1, 2);
  PacedRandom b(1, 2);
  PacedRandom c(1, 3);
  for (int i = 0; i < 100; ++i) {
    const std::uint64_t value = a.next();
    CHECK_EQ(b.next(), value);
    CHECK(c.next() != value);
    const double u = a.uniform();
    CHECK(u >= 0 && u < 1);
    CHECK_EQ(b.uniform(), u);
    (void)c.uniform();
  }

  PacedRandom random(1, 1);
  CHECK_EQ(draw_ns({DrawShape::constant, 5, 0}, random), 5);
  CHECK_EQ(draw_ns({DrawShape::normal, 5, 0}, random), 5);
  check_draws(DrawShape::normal);
  check_draws(DrawShape::lognormal);
  for (int i = 0; i < 1000; ++i) CHECK(draw_ns({DrawShape::normal, 10, 1000}, random) >= 0);

  check_grid({DrawShape::constant, 20'000'000, 0});
  check_grid({DrawShape::normal, 20'000'000, 5'000'000});
  check_grid({DrawShape::lognormal, 20'000'000, 20'000'000});
  // a constant grid never drifts
  StepGrid grid({DrawShape::constant, 20'000'000, 0}, 0, 7);
  StepGrid::Step step = grid.at_or_after(0);
  for (int i = 1; i <= 100'000; ++i) step = grid.after(step);
  CHECK_EQ(step.t_ns, 7 + 100'000LL * 20'000'000);

  // faults: shares divide the requests, the seed decides, none overlap
  const PacedOptions shared =
      with_faults({{FaultKind::cut, 0, 0.25}, {FaultKind::status, 503, 0.5}, {FaultKind::comments, 0, 0.5}});
  int n_cut = 0;
  int n_status = 0;
  int n_comments = 0;
  for (std::int64_t k = 0; k < 10'000; ++k) {
    const FaultRule* rule = fault_of_request(shared, k);
    CHECK(rule == fault_of_request(shared, k));
    n_cut += rule != nullptr && rule->kind == FaultKind::cut;
    n_status += rule != nullptr && rule->kind == FaultKind::status;
    n_comments += comments_of_request(shared, k);
  }
  CHECK(std::abs(n_cut - 2500) < 200);
  CHECK(std::abs(n_status - 5000) < 250);
  CHECK(std::abs(n_comments - 5000) < 250);
  CHECK(fault_of_request(PacedOptions(), 0) == nullptr);
  CHECK(!comments_of_request(PacedOptions(), 0));
  CHECK_EQ(replies_of_connection(PacedOptions(), 0), 0);
  CHECK_EQ(replies_of_connection(with_faults({{FaultKind::close_idle, 100, 1}}), 5), 100);
  const PacedOptions everybody = with_faults({{FaultKind::stall, 0, 1}});
  for (std::int64_t k = 0; k < 1000; ++k) CHECK(fault_of_request(everybody, k)->kind == FaultKind::stall);

  // options that make no sense
  CHECK_THROWS(check_options(with_faults({{FaultKind::cut, 0, 0.6}, {FaultKind::stall, 0, 0.6}})),
               std::invalid_argument);
  CHECK_THROWS(check_options(with_faults({{FaultKind::cut, 0, 0}})), std::invalid_argument);
  CHECK_THROWS(check_options(with_faults({{FaultKind::cut, 0, std::nan("")}})), std::invalid_argument);
  CHECK_THROWS(check_options(with_faults({{FaultKind::status, 200, 1}})), std::invalid_argument);
  CHECK_THROWS(check_options(with_faults({{FaultKind::close_idle, 0, 1}})), std::invalid_argument);
  PacedOptions options;
  check_options(options);
  options.ttft.mean_ns = -1;
  CHECK_THROWS(check_options(options), std::invalid_argument);
  options = {};
  options.itl.std_ns = 5;
  CHECK_THROWS(check_options(options), std::invalid_argument);
  options = {};
  options.itl.mean_ns = 0;
  CHECK_THROWS(check_options(options), std::invalid_argument);
  options.mode = PacedMode::independent;
  check_options(options);
  options.ttft = {DrawShape::lognormal, 0, 5};
  CHECK_THROWS(check_options(options), std::invalid_argument);
  options = {};
  options.tokens_per_event = 0;
  CHECK_THROWS(check_options(options), std::invalid_argument);
  options = {};
  options.output_share = 0;
  CHECK_THROWS(check_options(options), std::invalid_argument);
  options.output_share = 0.5;
  options.cached_share = 1;
  check_options(options);
  options.cached_share = 1.01;
  CHECK_THROWS(check_options(options), std::invalid_argument);
  return 0;
}
