#include "tokenclock/paced_options.h"

#include <cmath>
#include <stdexcept>

namespace tokenclock {

namespace {

void require(bool holds, const std::string& message) {
  if (!holds) throw std::invalid_argument(message);
}

void check_draw(const std::string& name, const DurationDraw& draw) {
  require(draw.mean_ns >= 0, name + " must be >= 0 ns, got " + std::to_string(draw.mean_ns));
  require(draw.std_ns >= 0, name + " standard deviation must be >= 0 ns, got " + std::to_string(draw.std_ns));
  require(draw.shape != DrawShape::constant || draw.std_ns == 0,
          name + " has a standard deviation but a constant distribution: choose normal or lognormal");
  require(draw.shape != DrawShape::lognormal || draw.mean_ns > 0,
          name + " must be > 0 ns for a lognormal distribution, got 0");
}

void check_count(const char* name, std::int64_t value, std::int64_t lowest, std::int64_t highest) {
  require(value >= lowest && value <= highest, std::string(name) + " must be " + std::to_string(lowest) + ".." +
                                                   std::to_string(highest) + ", got " + std::to_string(value));
}

}  // namespace

void check_options(const PacedOptions& options) {
  check_draw("ttft", options.ttft);
  check_draw("itl", options.itl);
  require(options.mode != PacedMode::batch || options.itl.mean_ns >= 1000,
          "itl must be at least 1 us in batch mode, got " + std::to_string(options.itl.mean_ns) +
              " ns: use mode flood to send without a pace");
  check_count("tokens_per_event", options.tokens_per_event, 1, 4096);
  check_count("events_per_send", options.events_per_send, 1, 4096);
  check_count("default_output_tokens", options.default_output_tokens, 1, 1'000'000);
  check_count("vocab_size", options.vocab_size, 1, 100'000'000);
  require(std::isfinite(options.output_share) && options.output_share > 0 && options.output_share <= 1,
          "output_share must be above 0 and at most 1, got " + std::to_string(options.output_share));
  require(std::isfinite(options.cached_share) && options.cached_share >= 0 && options.cached_share <= 1,
          "cached_share must be 0 to 1, got " + std::to_string(options.cached_share));
  check_count("spin_ns", options.spin_ns, 0, 10'000'000);
  check_count("max_requests", options.max_requests, 1, 1LL << 30);
  check_count("max_sends", options.max_sends, 1, 1LL << 34);
  require(options.unix_socket.empty() || options.unix_socket.find('/') != std::string::npos,
          "the path of a Unix socket must hold a slash, got " + options.unix_socket);
  double taken = 0;
  for (const FaultRule& rule : options.faults) {
    require(std::isfinite(rule.share) && rule.share > 0 && rule.share <= 1,
            "a fault's share must be above 0 and at most 1, got " + std::to_string(rule.share));
    if (rule.kind == FaultKind::status) check_count("the status of a fault", rule.argument, 400, 599);
    if (rule.kind == FaultKind::close_idle) check_count("close-idle's number of replies", rule.argument, 1, 1 << 30);
    if (rule.kind < FaultKind::comments) taken += rule.share;
  }
  // a request suffers one fault at most, so their shares divide the requests among them
  require(taken <= 1 + 1e-9, "the shares of status, cut, stall, error-event and garbage must sum to at most 1, got " +
                                 std::to_string(taken) + ": write KIND:SHARE");
}

}  // namespace tokenclock
