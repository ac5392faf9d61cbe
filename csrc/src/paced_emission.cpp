// From a reply's turn to its last byte: the schedule, the sends, the faults.
#include <algorithm>

#include "tokenclock/paced_loop.h"

namespace tokenclock {

namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

}  // namespace

// Begins replies in the order of their requests until one has to wait.
void PacedLoop::serve(PacedConnection& connection) {
  while (connection.fd >= 0 && !connection.active && connection.unsent.empty() && !connection.replies.empty()) {
    begin(connection);
  }
  update_interest(connection);  // a full queue of replies may have room again
}

void PacedLoop::begin(PacedConnection& connection) {
  PacedReply& reply = connection.replies.front();
  connection.active = true;
  if (reply.is_generation && n_active_++ == 0) grid_.idle_until(now_ns());
  if (reply.kind == PacedReply::Kind::immediate) {
    scratch_.assign(reply.bytes);
    if (reply.is_generation) {
      send_logged(connection, 0, 0, reply.t_arrival_ns);
    } else {
      write(connection, scratch_);
    }
    end_reply(connection);
    return;
  }
  truth_.set_status(reply.row, 200);
  // A request that waited behind another one of its connection cannot be due before its turn.
  if (connection.n_replies > 0) reply.t_due_ns = std::max(reply.t_due_ns, now_ns());
  if (options_.mode == PacedMode::batch) {
    reply.step = grid_.at_or_after(reply.t_due_ns);
    reply.t_due_ns = reply.step.t_ns;
  }
  if (reply.kind == PacedReply::Kind::stream) {
    scratch_.clear();
    reply.text.append_head(scratch_, reply.keep_alive);
    reply.text.append_role(scratch_);  // nothing for a completion
    send_logged(connection, 0, 0, reply.t_arrival_ns);
  }
  schedule(connection);
}

void PacedLoop::schedule(PacedConnection& connection) {
  if (connection.fd < 0) return;
  if (!connection.unsent.empty()) {
    connection.parked = true;
    return;
  }
  due_.push({connection.replies.front().t_due_ns, n_scheduled_++, connection.slot, connection.generation});
}

void PacedLoop::advance(PacedReply& reply, std::int64_t t_now_ns) {
  switch (options_.mode) {
    case PacedMode::batch:
      reply.step = grid_.after(reply.step);
      reply.t_due_ns = reply.step.t_ns;
      break;
    case PacedMode::independent:
      reply.t_due_ns += draw_ns(options_.itl, reply.random);
      break;
    case PacedMode::flood:
      reply.t_due_ns = t_now_ns;
      break;
  }
}

// Sends scratch_ and logs it. Returns the stamp, which is read before the kernel is called: what the client sees
// cannot be earlier.
std::int64_t PacedLoop::send_logged(PacedConnection& connection, std::int32_t n_tokens, std::int32_t n_events,
                                    std::int64_t t_due_ns, bool first_content) {
  const std::int32_t row = connection.replies.front().row;
  const std::string_view wire = to_wire(connection, scratch_);  // what encrypting costs is over before the stamp
  const std::int64_t t_send_ns = t_last_send_ns_ = now_ns();
  write_wire(connection, wire, first_content);
  if (first_content && connection.fd >= 0) note_on_wire(connection, row, t_send_ns);
  truth_.add_send(row, t_send_ns, t_due_ns, n_tokens, n_events);
  if (n_tokens > 0) counters_.n_tokens.fetch_add(n_tokens, kRelaxed);
  return t_send_ns;
}

void PacedLoop::emit(PacedConnection& connection) {
  PacedReply& reply = connection.replies.front();
  if (reply.kind == PacedReply::Kind::whole) return emit_whole(connection);
  scratch_.clear();
  const bool struck = reply.fault != FaultKind::none && reply.n_sent == reply.fault_after;
  if (struck && strike(connection)) return;

  const std::int32_t until = reply.fault == FaultKind::none ? reply.n_tokens : reply.fault_after;
  const std::int32_t first = reply.n_sent;
  const std::int32_t end = std::min(until, first + options_.tokens_per_event * options_.events_per_send);
  std::int32_t n_events = 0;
  for (std::int32_t token = first; token < end; token += options_.tokens_per_event, ++n_events) {
    reply.text.append_content(scratch_, token, std::min(options_.tokens_per_event, end - token));
  }
  const bool last = end == reply.n_tokens;
  if (last) {
    reply.text.append_tail(scratch_);
    reply.text.append_end(scratch_);
  }
  reply.n_sent = end;
  const std::int64_t t_send_ns = send_logged(connection, end - first, n_events, reply.t_due_ns, first == 0);
  if (connection.fd < 0) return;
  if (last) return end_reply(connection);
  advance(reply, t_send_ns);
  schedule(connection);
}

bool PacedLoop::strike(PacedConnection& connection) {
  PacedReply& reply = connection.replies.front();
  switch (reply.fault) {
    case FaultKind::cut:
      close(connection);
      return true;
    case FaultKind::stall:
      fall_silent(connection);
      return true;
    case FaultKind::error_event:
      reply.text.append_error(scratch_);
      reply.text.append_end(scratch_);
      send_logged(connection, 0, 0, reply.t_due_ns);
      end_reply(connection);
      return true;
    default:
      if (reply.fault == FaultKind::garbage) reply.text.append_garbage(scratch_);
      reply.fault = FaultKind::none;
      return false;
  }
}

// The reply stays the connection's active one and is never scheduled again; the connection stays while the client does.
void PacedLoop::fall_silent(PacedConnection& connection) {
  connection.stalled = true;
  if (connection.input_ended) close(connection);
}

// A reply that is no stream takes the same steps and sends once, when its last token is due.
void PacedLoop::emit_whole(PacedConnection& connection) {
  PacedReply& reply = connection.replies.front();
  reply.n_sent = std::min(reply.n_tokens, reply.n_sent + options_.tokens_per_event * options_.events_per_send);
  if (reply.n_sent < reply.n_tokens) {
    advance(reply, now_ns());
    return schedule(connection);
  }
  if (reply.fault == FaultKind::error_event) {
    refuse(reply, 500, "the paced server was told to fail here");
    scratch_ = reply.bytes;
    send_logged(connection, 0, 0, reply.t_due_ns);
    return end_reply(connection);
  }
  const std::string body = reply.fault == FaultKind::garbage ? std::string("paced garbage {") : reply.text.whole_body();
  scratch_ = http_reply(200, "application/json", body, reply.keep_alive);
  const bool cut = reply.fault == FaultKind::cut;
  const bool half = cut || reply.fault == FaultKind::stall;
  if (half) scratch_.resize(scratch_.size() - body.size() / 2);
  send_logged(connection, half ? 0 : reply.n_tokens, half ? 0 : 1, reply.t_due_ns);
  if (connection.fd < 0) return;  // and `reply` went with it
  if (cut) return close(connection);
  if (half) return fall_silent(connection);
  end_reply(connection);
}

}  // namespace tokenclock
