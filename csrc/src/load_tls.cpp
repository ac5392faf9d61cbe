// What a worker does differently on a connection that speaks TLS: the handshake in its loop, records out and in.
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "tokenclock/load_worker.h"
#include "tokenclock/receive_stamp.h"

namespace tokenclock {

void LoadWorker::begin_handshake(LoadConnection& connection) {
  connection.state = LoadConnection::State::handshaking;
  connection.t_progress_ns = since_start_ns();
  recording_.columns.t_tls_ns[static_cast<std::size_t>(connection.request.row)] = connection.t_progress_ns;
  connection.tls = std::make_unique<TlsSession>(*options_.tls);
  connection.tls->start();
  if (const int error = flush(connection); error != 0 && error != EAGAIN)
    lost(connection, "send: " + error_text(error));
}

void LoadWorker::end_handshake(LoadConnection& connection) {
  --n_connecting_;
  if (facts_.tls.empty()) facts_.tls = connection.tls->description();
  send_request(connection);
}

void LoadWorker::fail_handshake(LoadConnection& connection, const std::string& reason) {
  --n_connecting_;
  const bool by_tls = connection.tls->state() == TlsSession::State::failed;
  recording_.set_error(connection.request.row, by_tls ? reason : "TLS: " + reason + " during the handshake");
  end_request(connection, RequestStatus::connect_error, false, user_arrival());
}

// Why nothing more comes on a connection whose TLS is over.
std::string LoadWorker::reason_of_end(const LoadConnection& connection) const {
  const TlsSession& tls = *connection.tls;
  return tls.state() == TlsSession::State::failed ? "TLS: " + tls.problem() : "the server closed the connection";
}

// Sends what TLS has ready. 0: all of it; EAGAIN: the socket is full, the poller will tell; else the error number.
int LoadWorker::flush(LoadConnection& connection) {
  if (connection.tls == nullptr) return 0;
  while (!connection.tls->unsent().empty()) {
    const std::string_view rest = connection.tls->unsent();
    const ssize_t n = ::send(connection.socket.fd(), rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) {
      connection.tls->sent(static_cast<std::size_t>(n));
      if (connection.waits_for_room) connection.t_progress_ns = since_start_ns();
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      wait_for_room(connection, true);
      return EAGAIN;
    } else if (errno != EINTR) {
      return errno;
    }
  }
  wait_for_room(connection, false);
  return 0;
}

// The next record of the request, so that no more than one waits for the socket. False when there is no next one.
bool LoadWorker::encrypt_next(LoadConnection& connection) {
  if (plain_.size() < TlsSession::kRecordBytes) plain_.resize(TlsSession::kRecordBytes);
  std::size_t skip = connection.n_sent_bytes;
  std::size_t n_bytes = 0;
  for (std::string_view piece : pieces_of(connection)) {
    const std::size_t n_skipped = std::min(skip, piece.size());
    skip -= n_skipped;
    piece = piece.substr(n_skipped, TlsSession::kRecordBytes - n_bytes);
    if (!piece.empty()) std::memcpy(plain_.data() + n_bytes, piece.data(), piece.size());
    n_bytes += piece.size();
  }
  connection.tls->send({plain_.data(), n_bytes});
  connection.n_sent_bytes += n_bytes;
  return n_bytes > 0;
}

void LoadWorker::continue_encrypted_send(LoadConnection& connection) {
  do {
    const int error = flush(connection);
    if (error == EAGAIN) return;
    if (error != 0) return lost(connection, last_words(connection, "send: " + error_text(error)));
  } while (encrypt_next(connection));
  connection.state = LoadConnection::State::receiving;
}

// A server that refuses us sends an alert and hangs up: our next write may fail before the alert was read.
std::string LoadWorker::last_words(LoadConnection& connection, const std::string& otherwise) {
  const Received received = receive_stamped(connection.socket.fd(), buffer_.data(), buffer_.size());
  if (received.n_bytes <= 0) return otherwise;
  connection.tls->receive({buffer_.data(), static_cast<std::size_t>(received.n_bytes)}, plain_);
  return connection.tls->state() == TlsSession::State::failed ? reason_of_end(connection) : otherwise;
}

// Puts what the bytes say into their place. False when there is nothing to go on with: they said nothing, or the
// connection was lost over them.
bool LoadWorker::decrypt(LoadConnection& connection, std::string_view& bytes) {
  bytes = connection.tls->receive(bytes, plain_);
  const int error = flush(connection);  // what TLS itself has to answer; an alert, too
  const bool open = connection.tls->state() == TlsSession::State::open;
  if (connection.state == LoadConnection::State::handshaking) {
    if (connection.tls->state() == TlsSession::State::handshake) return false;
    if (open && bytes.empty()) {
      end_handshake(connection);
    } else {
      lost(connection, open ? "the server spoke before it was asked," : reason_of_end(connection));
    }
    return false;
  }
  if (!bytes.empty()) return true;
  if (!open) {
    lost(connection, reason_of_end(connection));
  } else if (error != 0 && error != EAGAIN) {
    lost(connection, "send: " + error_text(error));
  }
  return false;
}

}  // namespace tokenclock
