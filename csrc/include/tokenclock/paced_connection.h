// State of one connection of the paced server and of the replies it waits for. Owned by the loop, touched by its
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "tokenclock/paced_http_request.h"
#include "tokenclock/paced_options.h"
#include "tokenclock/paced_reply.h"
#include "tokenclock/paced_schedule.h"
#include "tokenclock/paced_truth.h"
#include "tokenclock/tls.h"

namespace tokenclock {

// A request that was read and understood, and what is left to say to it.
struct PacedReply {
  enum class Kind : std::uint8_t {
    immediate,  // `bytes` are the whole reply
    stream,     // events on the schedule
    whole,      // one JSON body when the last token would have been out
  };
  Kind kind = Kind::immediate;
  bool keep_alive = true;
  std::string bytes;

  // of a generation request only
  bool is_generation = false;
  std::int32_t row = PacedTruth::kNoRow;
  std::int64_t t_arrival_ns = kMissingNs;
  std::uint8_t fault_bits = 0;
  FaultKind fault = FaultKind::none;
  std::int32_t n_tokens = 0;     // to generate
  std::int32_t n_sent = 0;       // generated so far
  std::int32_t fault_after = 0;  // tokens after which `fault` strikes
  std::int64_t t_due_ns = 0;     // of the next send; before the first: when the first token may come
  StepGrid::Step step{0, 0};
  PacedRandom random{0, 0};
  ReplyText text;
};

struct PacedConnection {
  int fd = -1;
  std::unique_ptr<TlsSession> tls;  // none on a plain connection
  std::int64_t ordinal = 0;         // how many were accepted before it
  std::uint64_t generation = 0;     // of its slot: tells a schedule entry of this connection from one of its forerunner
  std::size_t slot = 0;
  HttpRequestParser parser;
  std::deque<PacedReply> replies;  // front: the one being sent
  std::string unsent;              // what the socket did not take yet, as it goes over the wire
  std::size_t n_unsent_done = 0;   // of `unsent`, taken meanwhile
  std::size_t n_drained_bytes = 0;
  std::int32_t n_replies = 0;
  std::int32_t replies_limit = 0;  // 0: none
  bool active = false;             // the front reply was begun
  bool parked = false;             // due, but the socket is full: goes on when it drains
  bool finishing = false;          // the front reply is complete but for `unsent`
  bool input_ended = false;
  bool stamp_awaited = false;  // of the first send with tokens; while it lies ready, the poller calls the socket failed
  bool stalled = false;        // the front reply fell silent for good
  bool draining = false;       // the last reply was sent; what still comes in is thrown away until the peer closes
  bool reads = true;           // what the poller was last told
  bool writes = false;

  static constexpr std::size_t kMaxQueuedReplies = 32;
};

}  // namespace tokenclock
