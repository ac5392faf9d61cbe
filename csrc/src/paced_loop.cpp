#include "tokenclock/paced_loop.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#if defined(__linux__)
#include <sys/prctl.h>
#endif

namespace tokenclock {

namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr std::size_t kInputBytes = 256 * 1024;
constexpr int kSendsBetweenLooks = 64;  // emissions before newly arrived requests get a look
constexpr std::size_t kMaxDrainedBytes = 64 * 1024 * 1024;
constexpr std::int64_t kSpinWindowNs = 100'000'000;
constexpr std::int64_t kSpinPerWindowNs = kSpinWindowNs / 10;  // at most a tenth of a core is spent waiting awake
constexpr std::int64_t kColdAfterNs = 1'000'000;               // without a send
constexpr std::int64_t kGridMemoryNs = 10'000'000'000;
constexpr std::int64_t kOldestStampNs = 10'000'000'000;  // a stamp further back than this is none of this read's

std::int64_t thread_cpu_ns() noexcept {
  timespec cpu{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
  return std::int64_t{cpu.tv_sec} * 1'000'000'000 + cpu.tv_nsec;
}

}  // namespace

PacedLoop::PacedLoop(const PacedOptions& options, int listener, const ClockSource& clock, PacedTruth& truth,
                     PacedCounters& counters)
    : options_(options),
      listener_(listener),
      truth_(truth),
      counters_(counters),
      wall_(clock),
      grid_(options.itl, options.seed, now_ns()),
      input_(kInputBytes) {
  poller_.add(listener_, this, true, false);
}

PacedLoop::~PacedLoop() {
  for (const auto& connection : slots_) {
    if (connection != nullptr) ::close(connection->fd);
  }
}

void PacedLoop::stop() noexcept {
  stopping_.store(true);
  poller_.wake();
}

void PacedLoop::run() {
#if defined(__linux__)
  ::prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);  // by default the kernel may wake this thread 50 us late
#endif
  while (!stopping_.load(kRelaxed)) {
    const std::span<const Poller::Ready> ready = poller_.wait(wait_time_ns(now_ns()));
    tick(now_ns());
    for (const Poller::Ready& entry : ready) {
      if (entry.owner == nullptr) continue;  // woken up by stop()
      if (entry.owner == this) {
        accept_all();
      } else {
        on_ready(*static_cast<PacedConnection*>(entry.owner), entry);
      }
    }
    stamps_in_doubt_ = false;
    if (wait_awake_until_due()) {
      for (int n = 0; n < kSendsBetweenLooks && !due_.empty() && due_.top().t_ns <= now_ns(); ++n) {
        const Due next = due_.top();
        due_.pop();
        PacedConnection* connection = slots_[next.slot].get();
        if (connection == nullptr || connection->generation != next.generation) continue;  // closed meanwhile
        emit(*connection);
        serve(*connection);
      }
    }
    closed_.clear();
  }
  tick(now_ns() + WallClock::kRefreshIntervalNs);  // the last requests' stamps are checked as well
}

// ---- time

std::int64_t PacedLoop::wait_time_ns(std::int64_t t_now_ns) const noexcept {
  if (due_.empty()) return -1;
  const bool may_spin = spun_in_window_ns_ < kSpinPerWindowNs;
  return std::max<std::int64_t>(0, due_.top().t_ns - t_now_ns - (may_spin ? options_.spin_ns : 0));
}

// False when the next emission is too far off to wait for awake.
bool PacedLoop::wait_awake_until_due() {
  if (due_.empty()) return false;
  const std::int64_t t_due_ns = due_.top().t_ns;
  const std::int64_t t_start_ns = now_ns();
  const bool is_due = t_due_ns <= t_start_ns;
  if (!is_due && (t_due_ns - t_start_ns > options_.spin_ns || spun_in_window_ns_ >= kSpinPerWindowNs)) return false;
  // also where there is no time left for it: a send may be late, but what follows its stamp must take the same each
  // time
  if (t_start_ns - t_last_send_ns_ > kColdAfterNs) warm_send_path();
  if (is_due) return true;
  std::int64_t t_now_ns = now_ns();
  while (t_now_ns < t_due_ns) t_now_ns = now_ns();
  spun_in_window_ns_ += t_now_ns - t_start_ns;
  counters_.spun_ns.fetch_add(t_now_ns - t_start_ns, kRelaxed);
  return true;
}

void PacedLoop::tick(std::int64_t t_now_ns) {
  if (t_now_ns - t_spin_window_ns_ >= kSpinWindowNs) {
    t_spin_window_ns_ = t_now_ns;
    spun_in_window_ns_ = 0;
    counters_.cpu_ns.store(thread_cpu_ns(), kRelaxed);
    grid_.forget_before(t_now_ns - kGridMemoryNs);
  }
  const WallClock::Refresh refresh = wall_.refresh(t_now_ns);
  if (refresh == WallClock::Refresh::not_due) return;
  if (refresh == WallClock::Refresh::stepped) {
    truth_.distrust_arrivals(first_unconfirmed_);
    for (const std::int32_t row : unconfirmed_on_wire_) truth_.set_first_on_wire(row, kMissingNs);
    stamps_in_doubt_ = true;  // what is about to be read may have been stamped on either side of the step
    counters_.n_clock_steps.store(wall_.n_steps(), kRelaxed);
  }
  first_unconfirmed_ = truth_.n_requests();
  unconfirmed_on_wire_.clear();
}

// Takes the stamp of the send that was just made. One that lies outside the call, as converted, is another's or wrong.
void PacedLoop::note_on_wire(PacedConnection& connection, std::int32_t row, std::int64_t t_send_ns) {
  if (!connection.stamp_awaited) return;
  const std::int64_t t_realtime_ns = take_send_stamp(connection.fd);
  if (t_realtime_ns == kMissingNs) return;
  connection.stamp_awaited = false;
  if (stamps_in_doubt_ || !connection.unsent.empty()) return;
  const std::int64_t t_ns = wall_.to_monotonic_ns(t_realtime_ns);
  if (t_ns < t_send_ns || t_ns > now_ns()) return;
  truth_.set_first_on_wire(row, t_ns);
  unconfirmed_on_wire_.push_back(row);
}

PacedLoop::Arrival PacedLoop::arrival_of(const Received& received, std::int64_t t_read_ns) const noexcept {
  if (received.t_realtime_ns == kMissingNs || stamps_in_doubt_) return {t_read_ns, false, t_read_ns};
  const std::int64_t t_ns = wall_.to_monotonic_ns(received.t_realtime_ns);
  const bool credible = t_ns <= t_read_ns + WallClock::kStepThresholdNs && t_ns > t_read_ns - kOldestStampNs;
  if (!credible) return {t_read_ns, false, t_read_ns};
  return {std::min(t_ns, t_read_ns), true, t_read_ns};
}

// ---- connections

void PacedLoop::accept_all() {
  while (true) {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EMFILE || errno == ENFILE) {
        // no descriptor left: the queue waits until a connection is closed, rather than keeping this thread busy
        poller_.change(listener_, this, false, false);
        accepting_ = false;
      }
      return;
    }
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    enable_send_stamps(fd);
    if (free_slots_.empty()) {
      free_slots_.push_back(slots_.size());
      slots_.emplace_back();
    }
    auto connection = std::make_unique<PacedConnection>();
    connection->fd = fd;
    if (options_.tls != nullptr) connection->tls = std::make_unique<TlsSession>(*options_.tls);
    connection->ordinal = n_accepted_++;
    connection->generation = ++n_generations_;
    connection->slot = free_slots_.back();
    connection->replies_limit = replies_of_connection(options_, connection->ordinal);
    free_slots_.pop_back();
    poller_.add(fd, connection.get(), true, false);
    counters_.n_connections.fetch_add(1, kRelaxed);
    slots_[connection->slot] = std::move(connection);
  }
}

void PacedLoop::close(PacedConnection& connection) {
  if (connection.fd < 0) return;
  poller_.remove(connection.fd);
  ::close(connection.fd);
  connection.fd = -1;
  for (const PacedReply& reply : connection.replies) {
    if (reply.is_generation) counters_.n_in_flight.fetch_sub(1, kRelaxed);
  }
  if (connection.active && connection.replies.front().is_generation) --n_active_;
  connection.replies.clear();
  counters_.n_connections.fetch_sub(1, kRelaxed);
  free_slots_.push_back(connection.slot);
  closed_.push_back(std::move(slots_[connection.slot]));
  if (!accepting_) {
    poller_.change(listener_, this, true, false);
    accepting_ = true;
  }
}

void PacedLoop::update_interest(PacedConnection& connection) {
  if (connection.fd < 0) return;
  const bool reads = !connection.input_ended && connection.replies.size() < PacedConnection::kMaxQueuedReplies;
  const bool writes = !connection.unsent.empty();
  if (reads == connection.reads && writes == connection.writes) return;
  poller_.change(connection.fd, &connection, reads, writes);
  connection.reads = reads;
  connection.writes = writes;
}

// Whether nothing worse than a send stamp that came late made the poller call the socket failed. Its send keeps the
// stamp of user space.
bool PacedLoop::only_a_stamp(PacedConnection& connection) {
  if (!connection.stamp_awaited || take_send_stamp(connection.fd) == kMissingNs) return false;
  connection.stamp_awaited = false;
  int error = 0;
  socklen_t size = sizeof error;
  return ::getsockopt(connection.fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
}

void PacedLoop::on_ready(PacedConnection& connection, const Poller::Ready& ready) {
  if (ready.writable && connection.fd >= 0) on_writable(connection);
  if (ready.readable && connection.fd >= 0) on_readable(connection);
  if (ready.failed && connection.fd >= 0 && !only_a_stamp(connection) && !ready.readable) close(connection);
  serve(connection);
  update_interest(connection);
}

void PacedLoop::on_readable(PacedConnection& connection) {
  const Received received = receive_stamped(connection.fd, input_.data(), input_.size());
  const std::int64_t t_read_ns = now_ns();
  if (received.n_bytes < 0) {
    if (received.error != EAGAIN && received.error != EWOULDBLOCK) close(connection);
    return;
  }
  if (received.n_bytes == 0) {
    // Half-closed clients still get their answers; the first send to one that is gone closes the connection.
    connection.input_ended = true;
    // A silent one would never find out.
    if (connection.stalled || (connection.replies.empty() && connection.unsent.empty())) close(connection);
    return;
  }
  if (connection.draining) {
    connection.n_drained_bytes += static_cast<std::size_t>(received.n_bytes);
    if (connection.n_drained_bytes > kMaxDrainedBytes) close(connection);
    return;
  }
  const Arrival arrival = arrival_of(received, t_read_ns);
  std::string_view input(input_.data(), static_cast<std::size_t>(received.n_bytes));
  if (connection.tls != nullptr && !decrypt(connection, input)) return;
  while (connection.fd >= 0 && !connection.draining) {
    switch (connection.parser.next(input)) {
      case HttpRequestParser::Step::need_more:
        return;
      case HttpRequestParser::Step::continue_wanted:
        // amid the reply to an earlier request it would be taken for a part of that one: such a client waits in vain
        if (connection.replies.empty()) write(connection, "HTTP/1.1 100 Continue\r\n\r\n");
        break;
      case HttpRequestParser::Step::complete:
        on_request(connection, arrival);
        connection.parser.reset();
        break;
      case HttpRequestParser::Step::error:
        on_bad_request(connection);
        break;
    }
  }
}

// Puts what the bytes say into their place; false when the connection is over.
bool PacedLoop::decrypt(PacedConnection& connection, std::string_view& input) {
  TlsSession& tls = *connection.tls;
  input = tls.receive(input, plain_);
  if (!tls.unsent().empty() && !write_wire(connection, tls.unsent())) return false;  // TLS's own answers, alerts too
  if (tls.state() == TlsSession::State::closed) connection.input_ended = true;
  const bool nobody_waits = connection.replies.empty() && connection.unsent.empty() && input.empty();
  if (tls.state() == TlsSession::State::failed || (connection.input_ended && nobody_waits)) {
    hang_up(connection);
    return false;
  }
  return true;
}

void PacedLoop::on_writable(PacedConnection& connection) {
  if (connection.unsent.empty()) return;
  const std::string_view rest = std::string_view(connection.unsent).substr(connection.n_unsent_done);
  const ssize_t n = ::send(connection.fd, rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (n < 0) {
    if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) close(connection);
    return;
  }
  connection.n_unsent_done += static_cast<std::size_t>(n);
  if (connection.n_unsent_done < connection.unsent.size()) return;
  connection.unsent.clear();
  connection.n_unsent_done = 0;
  if (connection.finishing) complete_reply(connection);
  if (connection.fd >= 0 && connection.parked) {
    connection.parked = false;
    schedule(connection);
  }
}

// The bytes as records where the connection speaks TLS.
std::string_view PacedLoop::to_wire(const PacedConnection& connection, std::string_view bytes) {
  if (connection.tls == nullptr) return bytes;
  connection.tls->send(bytes);
  return connection.tls->unsent();
}

// False when the connection is lost (and closed).
bool PacedLoop::write(PacedConnection& connection, std::string_view bytes) {
  return write_wire(connection, to_wire(connection, bytes));
}

bool PacedLoop::write_wire(PacedConnection& connection, std::string_view wire, bool stamped) {
  ssize_t n = 0;
  if (connection.unsent.empty()) {
    n = stamped ? send_stamped(connection.fd, wire)
                : ::send(connection.fd, wire.data(), wire.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    connection.stamp_awaited = connection.stamp_awaited || (stamped && n > 0);
    if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
      close(connection);
      return false;
    }
    n = std::max<ssize_t>(n, 0);
  }
  connection.unsent.append(wire.substr(static_cast<std::size_t>(n)));
  if (connection.tls != nullptr) connection.tls->sent(wire.size());  // from here on it is this connection's to send
  if (!connection.unsent.empty()) update_interest(connection);
  return true;
}

// Ends TLS, where there is any, and then the connection.
void PacedLoop::hang_up(PacedConnection& connection) {
  if (connection.tls != nullptr && connection.fd >= 0) {
    connection.tls->close();
    if (!connection.tls->unsent().empty() && !write_wire(connection, connection.tls->unsent())) return;
  }
  close(connection);
}

// The front reply's last byte was given to write().
void PacedLoop::end_reply(PacedConnection& connection) {
  if (connection.fd < 0) return;
  if (connection.unsent.empty()) {
    complete_reply(connection);
  } else {
    connection.finishing = true;
  }
}

void PacedLoop::complete_reply(PacedConnection& connection) {
  const PacedReply& reply = connection.replies.front();
  const bool keep_alive = reply.keep_alive;
  ++connection.n_replies;
  const bool silently = connection.replies_limit > 0 && connection.n_replies >= connection.replies_limit;
  if (reply.is_generation) {
    truth_.set_done(reply.row, now_ns());
    if (silently) truth_.set_fault(reply.row, static_cast<std::uint8_t>(reply.fault_bits | kFaultCloseIdleBit));
    counters_.n_in_flight.fetch_sub(1, kRelaxed);
    --n_active_;
  }
  connection.active = connection.finishing = false;
  connection.replies.pop_front();
  if (connection.draining && connection.replies.empty() && !connection.input_ended) {
    // Closing with input unread would reset the connection, and the client might never see the reply.
    if (connection.tls != nullptr) {
      connection.tls->close();
      if (!write_wire(connection, connection.tls->unsent())) return;
    }
    ::shutdown(connection.fd, SHUT_WR);
  } else if (!keep_alive || silently || (connection.input_ended && connection.replies.empty())) {
    hang_up(connection);
  }
}

}  // namespace tokenclock
