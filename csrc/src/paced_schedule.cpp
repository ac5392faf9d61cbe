#include "tokenclock/paced_schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace tokenclock {

namespace {

// Streams of random numbers that must not touch each other; requests take k itself.
constexpr std::uint64_t kGridStream = ~std::uint64_t{0};
constexpr std::uint64_t kFaultSalt = 0x6661756c74ULL;
constexpr std::uint64_t kCommentSalt = 0x636f6d6dULL;
constexpr std::uint64_t kConnectionSalt = 0x636f6e6eULL;

constexpr std::int64_t kShortestStepNs = 1000;
constexpr std::int64_t kLongestCatchUpSteps = 1000;  // an idle varying grid further behind than this starts anew

// The mixing function of splitmix64 (Steele, Lea, Flood 2014), which passes through every 64-bit value once.
std::uint64_t mixed(std::uint64_t x) noexcept {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

}  // namespace

PacedRandom::PacedRandom(std::uint64_t seed, std::uint64_t stream) noexcept
    : state_(mixed(mixed(seed + 0x9e3779b97f4a7c15ULL) ^ stream)) {}

std::uint64_t PacedRandom::next() noexcept {
  state_ += 0x9e3779b97f4a7c15ULL;
  return mixed(state_);
}

double PacedRandom::uniform() noexcept { return static_cast<double>(next() >> 11) * 0x1p-53; }

// Box-Muller; the second number of the pair is dropped for the sake of a state of one word.
double PacedRandom::normal() noexcept {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

std::int64_t draw_ns(const DurationDraw& draw, PacedRandom& random) noexcept {
  if (draw.shape == DrawShape::constant || draw.std_ns == 0) return draw.mean_ns;
  const auto mean = static_cast<double>(draw.mean_ns);
  const auto deviation = static_cast<double>(draw.std_ns);
  double value = 0;
  if (draw.shape == DrawShape::normal) {
    value = mean + deviation * random.normal();
  } else {
    // from the duration's own mean m and deviation s: sigma^2 = ln(1 + s^2/m^2), mu = ln m - sigma^2/2
    const double variance = std::log1p((deviation / mean) * (deviation / mean));
    value = std::exp(std::log(mean) - variance / 2 + std::sqrt(variance) * random.normal());
  }
  constexpr double kLongest = 3.6e12;  // an hour: the tail of a wild lognormal must not overflow
  return static_cast<std::int64_t>(std::llround(std::clamp(value, 0.0, kLongest)));
}

StepGrid::StepGrid(const DurationDraw& interval, std::uint64_t seed, std::int64_t t_start_ns)
    : interval_(interval),
      is_constant_(interval.shape == DrawShape::constant || interval.std_ns == 0),
      t_start_ns_(t_start_ns),
      random_(seed, kGridStream),
      times_{t_start_ns} {
  interval_.mean_ns = std::max(kShortestStepNs, interval_.mean_ns);
}

void StepGrid::extend() { times_.push_back(times_.back() + std::max(kShortestStepNs, draw_ns(interval_, random_))); }

StepGrid::Step StepGrid::at_or_after(std::int64_t t_ns) {
  if (is_constant_) {
    const std::int64_t since_ns = std::max<std::int64_t>(0, t_ns - t_start_ns_);
    const std::int64_t index = (since_ns + interval_.mean_ns - 1) / interval_.mean_ns;
    return {index, t_start_ns_ + index * interval_.mean_ns};
  }
  while (times_.back() < t_ns) extend();
  const auto found = std::lower_bound(times_.begin(), times_.end(), t_ns);
  return {first_index_ + (found - times_.begin()), *found};
}

StepGrid::Step StepGrid::after(Step step) {
  if (is_constant_) return {step.index + 1, step.t_ns + interval_.mean_ns};
  const std::int64_t wanted = std::max(step.index + 1, first_index_);
  while (back_index() < wanted) extend();
  return {wanted, times_[static_cast<std::size_t>(wanted - first_index_)]};
}

void StepGrid::forget_before(std::int64_t t_ns) {
  while (times_.size() > 1 && times_[1] <= t_ns) {
    times_.pop_front();
    ++first_index_;
  }
}

void StepGrid::idle_until(std::int64_t t_ns) {
  if (is_constant_ || (t_ns - times_.back()) / interval_.mean_ns <= kLongestCatchUpSteps) return;
  first_index_ = back_index() + 1;
  times_.assign(1, t_ns);
}

const FaultRule* fault_of_request(const PacedOptions& options, std::int64_t request) {
  double u = PacedRandom(options.seed ^ kFaultSalt, static_cast<std::uint64_t>(request)).uniform();
  for (const FaultRule& rule : options.faults) {
    if (rule.kind >= FaultKind::comments) continue;
    if (u < rule.share) return &rule;
    u -= rule.share;
  }
  return nullptr;
}

bool comments_of_request(const PacedOptions& options, std::int64_t request) {
  const double u = PacedRandom(options.seed ^ kCommentSalt, static_cast<std::uint64_t>(request)).uniform();
  return std::any_of(options.faults.begin(), options.faults.end(),
                     [u](const FaultRule& rule) { return rule.kind == FaultKind::comments && u < rule.share; });
}

std::int32_t replies_of_connection(const PacedOptions& options, std::int64_t connection) {
  const double u = PacedRandom(options.seed ^ kConnectionSalt, static_cast<std::uint64_t>(connection)).uniform();
  for (const FaultRule& rule : options.faults) {
    if (rule.kind == FaultKind::close_idle && u < rule.share) return rule.argument;
  }
  return 0;
}

}  // namespace tokenclock
