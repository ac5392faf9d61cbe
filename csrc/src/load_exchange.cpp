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

void LoadWorker::connect(LoadConnection& connection) {
  const auto row = static_cast<std::size_t>(connection.request.row);
  const Address& address = options_.addresses[connection.address_index];
  connection.reused = false;
  connection.id = next_connection_id_;
  next_connection_id_ += static_cast<std::int32_t>(options_.n_workers);
  connection.t_connect_ns = connection.t_progress_ns = since_start_ns();
  recording_.columns.t_connect_ns[row] = connection.t_connect_ns;
  connection.socket = open_tcp_socket(address);
  int error = connection.socket.is_open() ? 0 : errno;
  if (error == 0) {
    if (options_.kernel_stamps) enable_receive_stamps(connection.socket.fd());
    error = begin_connect(connection.socket, address);
  }
  --connection.addresses_left;
  if (error != 0) {
    connection.socket.close();
    if (connection.addresses_left > 0) {
      connection.address_index = (connection.address_index + 1) % options_.addresses.size();
      return connect(connection);
    }
    connection.state = LoadConnection::State::closed;
    recording_.set_error(connection.request.row, "connect: " + error_text(error));
    return end_request(connection, RequestStatus::connect_error, false, user_arrival());
  }
  connection.state = LoadConnection::State::connecting;
  ++n_connecting_;
  poller_.add(connection.socket.fd(), &connection, false, true);
}

void LoadWorker::connected(LoadConnection& connection) {
  const int error = pending_error(connection.socket);
  --n_connecting_;
  if (error != 0) {
    connection.socket.close();
    connection.state = LoadConnection::State::closed;
    if (connection.addresses_left > 0) {
      connection.address_index = (connection.address_index + 1) % options_.addresses.size();
      return connect(connection);
    }
    recording_.set_error(connection.request.row, "connect: " + error_text(error));
    return end_request(connection, RequestStatus::connect_error, false, user_arrival());
  }
  address_index_ = connection.address_index;
  ++facts_.n_connections;
  poller_.change(connection.socket.fd(), &connection, true, false);
  send_request(connection);
}

void LoadWorker::send_request(LoadConnection& connection) {
  const auto row = static_cast<std::size_t>(connection.request.row);
  const int length = std::snprintf(connection.length_line.data(), connection.length_line.size(),
                                   "Content-Length: %zu\r\n\r\n", connection.request.body.size());
  connection.length_line_size = static_cast<std::size_t>(length);
  connection.n_sent_bytes = 0;
  connection.waits_for_room = false;
  connection.reader.begin(connection.request.row, options_.reply);
  recording_.columns.connection_id[row] = connection.id;
  connection.state = LoadConnection::State::sending;
  if (recording_.columns.resent[row] == 0) bump(progress_.n_sent);
  connection.t_sent_ns = connection.t_progress_ns = since_start_ns();
  recording_.columns.t_sent_ns[row] = connection.t_sent_ns;
  continue_send(connection);
}

void LoadWorker::continue_send(LoadConnection& connection) {
  const std::array<std::string_view, 4> pieces{
      options_.request_head, connection.request.head_lines,
      std::string_view(connection.length_line.data(), connection.length_line_size), connection.request.body};
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
      if (!connection.waits_for_room) poller_.change(connection.socket.fd(), &connection, true, true);
      connection.waits_for_room = true;
      return;
    } else if (errno != EINTR) {
      return lost(connection, "send: " + error_text(errno));
    }
  }
  connection.state = LoadConnection::State::receiving;
  if (std::exchange(connection.waits_for_room, false)) poller_.change(connection.socket.fd(), &connection, true, false);
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
  if (received.n_bytes == 0) return lost(connection, "the server closed the connection");
  if (connection.state == LoadConnection::State::idle) return retire(connection);  // bytes nobody asked for
  const Arrival arrival = arrival_of(received.t_realtime_ns, t_read_ns, connection.t_sent_ns);
  connection.t_progress_ns = t_read_ns;
  const std::size_t n_events = recording_.log.size();
  const auto progress =
      connection.reader.feed({buffer_.data(), static_cast<std::size_t>(received.n_bytes)}, arrival, recording_);
  bump(progress_.n_events, static_cast<std::int64_t>(recording_.log.size() - n_events));
  bump(progress_.bytes_received, received.n_bytes);
  if (progress == ReplyReader::Progress::more) return;
  const bool whole =
      progress == ReplyReader::Progress::complete && connection.state == LoadConnection::State::receiving;
  end_request(connection, connection.reader.status(), whole && connection.reader.reusable(), arrival);
  if (options_.closed_loop) dispatch();
}

void LoadWorker::lost(LoadConnection& connection, const std::string& reason) {
  if (connection.state == LoadConnection::State::idle) return retire(connection);
  if (connection.reused && !connection.reader.any_byte() &&
      recording_.columns.resent[static_cast<std::size_t>(connection.request.row)] == 0) {
    // Closed by the server between two requests: not this request's fault. Once more, on a new connection.
    recording_.columns.resent[static_cast<std::size_t>(connection.request.row)] = 1;
    ++facts_.n_resent;
    connection.socket.close();
    connection.addresses_left = options_.addresses.size();
    connection.address_index = address_index_;
    return connect(connection);
  }
  const Arrival arrival = user_arrival();
  connection.reader.closed(reason, arrival, recording_);
  end_request(connection, connection.reader.status(), false, arrival);
  if (options_.closed_loop) dispatch();
}

}  // namespace tokenclock
