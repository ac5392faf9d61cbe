// Everything that says how the paced server behaves; all of it is in the truth file as well.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tokenclock/tls.h"

namespace tokenclock {

enum class PacedMode : std::uint8_t {
  batch,        // all streams step together, as continuous batching does
  independent,  // each stream keeps its own time
  flood,        // as fast as the socket takes it
};

enum class DrawShape : std::uint8_t { constant, normal, lognormal };

// A duration that may vary: mean and standard deviation are those of the duration itself, also for lognormal.
struct DurationDraw {
  DrawShape shape = DrawShape::constant;
  std::int64_t mean_ns = 0;
  std::int64_t std_ns = 0;
};

// The numbers of the kinds below `comments` are what the truth's `fault` column holds in its low four bits.
enum class FaultKind : std::uint8_t {
  none = 0,
  status = 1,       // replies with an error status at once
  cut = 2,          // closes the connection after half of the tokens
  stall = 3,        // falls silent after half of the tokens, keeps the connection
  error_event = 4,  // an error object inside the 200 stream after half of the tokens, then the end
  garbage = 5,      // one event that is no JSON after half of the tokens, then goes on
  comments = 6,     // comment lines and event:/id: fields between the events; may come with any other fault
  close_idle = 7,   // closes a connection, unannounced, after `argument` replies; may come with any other fault
};
inline constexpr std::uint8_t kFaultCommentsBit = 0x10;   // the stream was interleaved with comments
inline constexpr std::uint8_t kFaultCloseIdleBit = 0x20;  // the connection was closed after this reply

struct FaultRule {
  FaultKind kind = FaultKind::none;
  std::int32_t argument = 0;  // status: the code; close_idle: replies per connection
  double share = 1.0;         // of all requests (close_idle: of all connections)
};

struct PacedOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;                 // 0: the kernel picks one
  std::string unix_socket;                // path to listen on instead of host and port; empty: none
  std::shared_ptr<const TlsContext> tls;  // none: plain connections
  PacedMode mode = PacedMode::batch;
  DurationDraw ttft{DrawShape::constant, 50'000'000, 0};
  DurationDraw itl{DrawShape::constant, 20'000'000, 0};
  std::uint64_t seed = 0;
  std::int32_t tokens_per_event = 1;
  std::int32_t events_per_send = 1;  // one step of a stream is one send: events_per_send x tokens_per_event tokens
  std::int32_t default_output_tokens = 128;
  std::int32_t vocab_size = 32'000;
  std::vector<std::string> served_models;  // empty: any name is accepted
  std::string api_key;                     // empty: nobody asks for one
  bool report_iterations = false;
  double output_share = 1;  // of the tokens asked for; below 1 an answer ends early, as at an end-of-text token
  double cached_share = 0;  // of the prompt tokens, reported as cached; 0: usage does not speak of a cache
  std::vector<FaultRule> faults;
  std::int64_t spin_ns = 150'000;         // last stretch before an emission that is waited for awake
  std::int64_t max_requests = 1LL << 22;  // rows the truth has room for; more are served but not logged
  std::int64_t max_sends = 1LL << 27;
};

// Throws std::invalid_argument with one line: what was expected, what was got, what to do.
void check_options(const PacedOptions& options);

}  // namespace tokenclock
