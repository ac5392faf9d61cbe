// A request's way over its connection: connect, send, read, and what is done when the connection is lost.
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <string_view>
#include <utility>

#include "tokenclock/load_worker.h"
#include "tokenclock/receive_stamp.h"

namespace tokenclock {

namespace {

constexpr std::int64_t kColdAfterNs = 1'000'000;  // without a send
constexpr int kSureAfter = 3;                     // closes alike, before it is believed that there will be more
constexpr std::int64_t kTryAgainEvery = 256;      // replies after which a connection is used again all the same

}  // namespace

void LoadWorker::connect(LoadConnection& connection) {
  const auto row = static_cast<std::size_t>(connection.request.row);
  const Address& address = options_.addresses[connection.address_index];
  connection.reused = connection.peer_closed = false;
  connection.n_replies = 0;
  connection.id = next_connection_id_;
  next_connection_id_ += static_cast<std::int32_t>(options_.n_workers);
  connection.t_connect_ns = connection.t_progress_ns = since_start_ns();
  recording_.columns.t_connect_ns[row] = connection.t_connect_ns;
  connection.socket = open_socket(address);
  int error = connection.socket.is_open() ? 0 : errno;
  if (error == 0) {
    if (options_.kernel_stamps) enable_receive_stamps(connection.socket.fd());
    spread_source(connection.socket, address, connection.id);
    error = begin_connect(connection.socket, address);
  }
  --connection.addresses_left;
  if (error == EAGAIN) {  // a Unix socket whose queue is full
    connection.state = LoadConnection::State::connecting;
    ++n_connecting_;
    return crowded_.push_back(&connection);
  }
  if (error != 0) return connect_failed(connection, error);
  connection.state = LoadConnection::State::connecting;
  ++n_connecting_;
  poller_.add(connection.socket.fd(), &connection, false, true);
}

// The next address, or the end of the request.
void LoadWorker::connect_failed(LoadConnection& connection, int error) {
  connection.socket.close();
  connection.state = LoadConnection::State::closed;
  if (connection.addresses_left > 0) {
    connection.address_index = (connection.address_index + 1) % options_.addresses.size();
    return connect(connection);
  }
  recording_.set_error(connection.request.row, "connect: " + error_text(error));
  end_request(connection, RequestStatus::connect_error, false, user_arrival());
}

// In order: where there is no room for the first, there is none for the others either.
void LoadWorker::retry_crowded() {
  std::size_t n_tried = 0;
  for (; n_tried < crowded_.size(); ++n_tried) {
    LoadConnection& connection = *crowded_[n_tried];
    const int error = begin_connect(connection.socket, options_.addresses[connection.address_index]);
    if (error == EAGAIN) break;
    if (error == 0) {
      poller_.add(connection.socket.fd(), &connection, false, true);
    } else {
      --n_connecting_;
      connect_failed(connection, error);
    }
  }
  crowded_.erase(crowded_.begin(), crowded_.begin() + static_cast<std::ptrdiff_t>(n_tried));
}

void LoadWorker::disconnect(LoadConnection& connection) {
  if (connection.tls != nullptr) {
    connection.tls->close();
    if (!connection.waits_for_room) static_cast<void>(flush(connection));  // who does not take it now never will
    connection.tls.reset();
  }
  connection.socket.close();
}

void LoadWorker::connected(LoadConnection& connection) {
  const int error = pending_error(connection.socket);
  if (error != 0) {
    --n_connecting_;
    return connect_failed(connection, error);
  }
  address_index_ = connection.address_index;
  ++facts_.n_connections;
  poller_.change(connection.socket.fd(), &connection, true, false);
  connection.waits_for_room = false;
  if (options_.tls != nullptr) return begin_handshake(connection);
  --n_connecting_;
  send_request(connection);
}

void LoadWorker::send_request(LoadConnection& connection) {
  const auto row = static_cast<std::size_t>(connection.request.row);
  const int length = std::snprintf(connection.length_line.data(), connection.length_line.size(),
                                   "Content-Length: %zu\r\n\r\n", connection.request.body.size());
  connection.length_line_size = static_cast<std::size_t>(length);
  connection.n_sent_bytes = 0;
  connection.reader.begin(connection.request.row, options_.reply);
  recording_.columns.connection_id[row] = connection.id;
  connection.state = LoadConnection::State::sending;
  if (recording_.columns.resent[row] == 0) bump(progress_.n_sent);
  if (connection.tls != nullptr) encrypt_next(connection);  // its cost is none of the request's time
  // what cold caches add between the stamp and the wire would count as the server's time
  if (since_start_ns() - t_last_send_ns_ > kColdAfterNs) warm_send_path();
  connection.t_sent_ns = connection.t_progress_ns = since_start_ns();
  recording_.columns.t_sent_ns[row] = t_last_send_ns_ = connection.t_sent_ns;
  continue_send(connection);
}

std::array<std::string_view, 4> LoadWorker::pieces_of(const LoadConnection& connection) const noexcept {
  return {options_.request_head, connection.request.head_lines,
          std::string_view(connection.length_line.data(), connection.length_line_size), connection.request.body};
}

void LoadWorker::wait_for_room(LoadConnection& connection, bool wait) {
  if (connection.waits_for_room == wait) return;
  connection.waits_for_room = wait;
  poller_.change(connection.socket.fd(), &connection, true, wait);
}

void LoadWorker::continue_send(LoadConnection& connection) {
  if (connection.tls != nullptr) return continue_encrypted_send(connection);
  const auto pieces = pieces_of(connection);
  for (;;) {
    std::array<iovec, pieces.size()> vectors{};
    std::size_t n_vectors = 0;
    std::size_t skip = connection.n_sent_bytes;
    for (const std::string_view piece : pieces) {
      if (skip >= piece.size()) {
        skip -= piece.size();
        continue;
      }
      vectors[n_vectors++] = {const_cast<char*>(piece.data()) + skip, piece.size() - skip};
      skip = 0;
    }
    if (n_vectors == 0) break;
    msghdr message{};
    message.msg_iov = vectors.data();
    message.msg_iovlen = n_vectors;
    const ssize_t n = ::sendmsg(connection.socket.fd(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) {
      connection.n_sent_bytes += static_cast<std::size_t>(n);
      if (connection.waits_for_room) connection.t_progress_ns = since_start_ns();
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return wait_for_room(connection, true);
    } else if (errno != EINTR) {
      return lost(connection, "send: " + error_text(errno));
    }
  }
  connection.state = LoadConnection::State::receiving;
  wait_for_room(connection, false);
}

Arrival LoadWorker::user_arrival() const noexcept {
  const std::int64_t t_ns = since_start_ns();
  return {t_ns, t_ns, false};
}

Arrival LoadWorker::arrival_of(std::int64_t t_realtime_ns, std::int64_t t_read_ns, std::int64_t t_sent_ns) noexcept {
  if (t_realtime_ns == kMissingNs) return {t_read_ns, t_read_ns, false};
  const std::int64_t t_ns = wall_clock_.to_monotonic_ns(t_realtime_ns) - t_epoch_ns_;
  // A stamp from the future or from before the request can only come from a wall clock that was just stepped.
  if (t_ns > t_read_ns + WallClock::kStepThresholdNs || t_ns < t_sent_ns - WallClock::kStepThresholdNs) {
    ++recording_.counts.n_events_stepped;
    return {t_read_ns, t_read_ns, false};
  }
  return {std::min(t_ns, t_read_ns), t_read_ns, true};
}

void LoadWorker::read(LoadConnection& connection) {
  const Received received = receive_stamped(connection.socket.fd(), buffer_.data(), buffer_.size());
  const std::int64_t t_read_ns = since_start_ns();
  if (received.n_bytes < 0) {
    if (received.error == EAGAIN || received.error == EWOULDBLOCK || received.error == EINTR) return;
    return lost(connection, "receive: " + error_text(received.error));
  }
  if (received.n_bytes == 0) {
    return lost(connection, connection.tls == nullptr ? "the server closed the connection"
                                                      : "the server closed the connection without ending TLS");
  }
  std::string_view bytes(buffer_.data(), static_cast<std::size_t>(received.n_bytes));
  if (connection.tls != nullptr && !decrypt(connection, bytes)) return;
  if (connection.state == LoadConnection::State::idle) return retire(connection);  // bytes nobody asked for
  const Arrival arrival = arrival_of(received.t_realtime_ns, t_read_ns, connection.t_sent_ns);
  connection.t_progress_ns = t_read_ns;
  const std::size_t n_events = recording_.log.size();
  const auto progress = connection.reader.feed(bytes, arrival, recording_);
  bump(progress_.n_events, static_cast<std::int64_t>(recording_.log.size() - n_events));
  bump(progress_.bytes_received, static_cast<std::int64_t>(bytes.size()));
  const bool ended = connection.tls != nullptr && connection.tls->state() != TlsSession::State::open;
  if (progress == ReplyReader::Progress::more) {
    if (ended) lost(connection, reason_of_end(connection));
    return;
  }
  const bool whole =
      progress == ReplyReader::Progress::complete && connection.state == LoadConnection::State::receiving && !ended;
  ++connection.n_replies;
  const bool reuse = whole && connection.reader.reusable() && outlives_reply(connection);
  end_request(connection, connection.reader.status(), reuse, arrival);
  if (options_.closed_loop) dispatch();
}

// Whether the next request may go over this connection: the server has not closed it, nor is known to be about to.
bool LoadWorker::outlives_reply(const LoadConnection& connection) {
  std::int32_t& limit = facts_.replies_per_connection;
  if (connection.n_replies > limit) limit = 0;  // what was learnt holds no longer
  if (limit > 0 && connection.n_replies == limit && ++n_given_up_ % kTryAgainEvery != 0) return false;
  if (connection.peer_closed) ++facts_.n_seen_closed;
  return !connection.peer_closed;
}

// Some servers close after so many replies, whatever their headers say (llama.cpp after each stream). Where the close
// comes when the next request is on its way already, looking at the socket does not help: the number is learnt.
void LoadWorker::note_closed_on_reuse(const LoadConnection& connection) {
  n_alike_closes_ = connection.n_replies == n_replies_at_close_ ? n_alike_closes_ + 1 : 1;
  n_replies_at_close_ = connection.n_replies;
  if (n_alike_closes_ >= kSureAfter) facts_.replies_per_connection = n_replies_at_close_;
}

void LoadWorker::lost(LoadConnection& connection, const std::string& reason) {
  if (connection.state == LoadConnection::State::idle) {
    ++facts_.n_seen_closed;
    return retire(connection);
  }
  if (connection.state == LoadConnection::State::handshaking) return fail_handshake(connection, reason);
  if (connection.reused && !connection.reader.any_byte() &&
      recording_.columns.resent[static_cast<std::size_t>(connection.request.row)] == 0) {
    // Closed by the server between two requests: not this request's fault. Once more, on a new connection.
    recording_.columns.resent[static_cast<std::size_t>(connection.request.row)] = 1;
    ++facts_.n_resent;
    note_closed_on_reuse(connection);
    disconnect(connection);
    connection.addresses_left = options_.addresses.size();
    connection.address_index = address_index_;
    return connect(connection);
  }
  const Arrival arrival = user_arrival();
  const bool refused = connection.tls != nullptr && connection.tls->state() == TlsSession::State::failed;
  if (refused && !connection.reader.any_byte()) {
    // A server tells only after the handshake that it does not like our certificate.
    recording_.set_error(connection.request.row, reason);
    return end_request(connection, RequestStatus::connect_error, false, arrival);
  }
  connection.reader.closed(reason, arrival, recording_);
  end_request(connection, connection.reader.status(), false, arrival);
  if (options_.closed_loop) dispatch();
}

}  // namespace tokenclock
