#include "tokenclock/load_worker.h"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <limits>
#include <utility>

#include "tokenclock/receive_stamp.h"

namespace tokenclock {

namespace {

constexpr std::int64_t kCheckIntervalNs = 50'000'000;
constexpr std::int64_t kSpinNs = 60'000;       // before a due instant the loop looks without sleeping
constexpr std::size_t kReadyWhilePacing = 16;  // events handled between two looks at the schedule
constexpr std::size_t kReadBytes = 256 * 1024;
constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

// One writer, any reader: no read-modify-write instruction is needed.
void bump(std::atomic<std::int64_t>& counter, std::int64_t by = 1) noexcept {
  counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

}  // namespace

struct LoadWorker::Connection {
  enum class State : std::uint8_t { closed, connecting, sending, receiving, idle };

  Socket socket;
  State state = State::closed;
  bool reused = false;
  std::int32_t id = -1;
  std::size_t active_index = 0;
  std::size_t addresses_left = 0;
  std::size_t address_index = 0;
  std::size_t n_sent_bytes = 0;
  std::int64_t t_connect_ns = kMissingNs;
  std::int64_t t_sent_ns = kMissingNs;
  std::int64_t t_progress_ns = 0;
  PreparedRequest request;
  bool waits_for_room = false;  // the socket's send buffer is full
  std::array<char, 80> length_line{};
  std::size_t length_line_size = 0;
  ReplyReader reader;
};

LoadWorker::LoadWorker(const LoadOptions& options, RequestQueue& queue, RequestColumns& columns, ReplyTexts& texts,
                       int index, std::size_t max_in_flight)
    : options_(options),
      queue_(queue),
      recording_(columns, texts, options.event_capacity, options.text_limit_bytes),
      index_(index),
      max_in_flight_(max_in_flight),
      wall_clock_(options.clock_source != nullptr ? *options.clock_source : system_clock_source()),
      next_connection_id_(index),
      buffer_(kReadBytes) {}

LoadWorker::~LoadWorker() = default;

void LoadWorker::stop() noexcept {
  stop_.store(true, std::memory_order_relaxed);
  poller_.wake();
}

void LoadWorker::run(std::int64_t t_epoch_ns) {
  t_epoch_ns_ = t_epoch_ns;
#ifdef __linux__
  if (!options_.cpus.empty()) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<std::size_t>(options_.cpus[static_cast<std::size_t>(index_) % options_.cpus.size()]), &set);
    ::pthread_setaffinity_np(::pthread_self(), sizeof set, &set);
  }
#endif
  wall_clock_.refresh_now();
  const std::int64_t t_begin_ns = now_ns();
  t_next_check_ns_ = t_begin_ns + kCheckIntervalNs;
  try {
    loop();
  } catch (const std::exception& error) {
    facts_.failure = error.what();
    for (const Connection* connection : active_) recording_.set_error(connection->request.row, facts_.failure);
  }
  cancel_all();
  settle(now_ns(), true);
  note_costs(t_begin_ns);
}

void LoadWorker::loop() {
  const std::size_t max_ready = options_.closed_loop ? 0 : kReadyWhilePacing;
  while (!stop_.load(std::memory_order_relaxed)) {
    dispatch();
    if (active_.empty() && queue_.exhausted()) break;
    const std::int64_t t_wait_ns = now_ns();
    const auto ready = poller_.wait(wait_ns(t_wait_ns), max_ready);
    const std::int64_t t_woke_ns = now_ns();
    waited_ns_ += t_woke_ns - t_wait_ns;
    for (const Poller::Ready& entry : ready) {
      if (entry.owner == nullptr) continue;
      Connection& connection = *static_cast<Connection*>(entry.owner);
      switch (connection.state) {
        case Connection::State::closed:
          break;  // an earlier entry of this round ended it
        case Connection::State::connecting:
          connected(connection);
          break;
        case Connection::State::sending:
          if (entry.readable || entry.failed) {
            read(connection);
          } else {
            continue_send(connection);
          }
          break;
        case Connection::State::receiving:
        case Connection::State::idle:
          read(connection);
          break;
      }
    }
    if (t_woke_ns >= t_next_check_ns_) {
      t_next_check_ns_ = t_woke_ns + kCheckIntervalNs;
      check_timeouts(t_woke_ns - t_epoch_ns_);
      settle(t_woke_ns, false);
    }
  }
}

std::int64_t LoadWorker::wait_ns(std::int64_t t_now_ns) const {
  std::int64_t wait = std::max<std::int64_t>(0, t_next_check_ns_ - t_now_ns);
  const bool slot_free = active_.size() < max_in_flight_ && n_connecting_ < options_.max_connecting;
  if (slot_free) {
    const std::int64_t due_ns = queue_.next_due_ns(kNever);
    if (due_ns != kNever) wait = std::min(wait, std::max<std::int64_t>(0, due_ns + t_epoch_ns_ - t_now_ns - kSpinNs));
  }
  return wait;
}

void LoadWorker::dispatch() {
  PreparedRequest request;
  while (active_.size() < max_in_flight_ && n_connecting_ < options_.max_connecting &&
         queue_.try_pop(since_start_ns(), request)) {
    start(std::move(request));
  }
}

void LoadWorker::start(PreparedRequest request) {
  const auto row = static_cast<std::size_t>(request.row);
  RequestColumns& columns = recording_.columns;
  columns.worker[row] = static_cast<std::int16_t>(index_);
  if (columns.t_scheduled_ns[row] == kMissingNs) {
    columns.t_scheduled_ns[row] = options_.closed_loop ? since_start_ns() : request.t_due_ns;
  }
  Connection* connection = nullptr;
  if (!idle_.empty()) {
    connection = idle_.back();
    idle_.pop_back();
    connection->reused = true;
  } else if (!spent_.empty()) {
    connection = spent_.back();
    spent_.pop_back();
  } else {
    connections_.push_back(std::make_unique<Connection>());
    connection = connections_.back().get();
  }
  connection->request = std::move(request);
  connection->t_sent_ns = kMissingNs;
  connection->active_index = active_.size();
  active_.push_back(connection);
  progress_.n_in_flight.store(static_cast<std::int64_t>(active_.size()), std::memory_order_relaxed);
  facts_.max_in_flight = std::max(facts_.max_in_flight, static_cast<std::int64_t>(active_.size()));
  if (connection->state == Connection::State::idle) {
    send_request(*connection);
  } else {
    connection->addresses_left = options_.addresses.size();
    connection->address_index = address_index_;
    connect(*connection);
  }
}

void LoadWorker::connect(Connection& connection) {
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
    connection.state = Connection::State::closed;
    recording_.set_error(connection.request.row, "connect: " + error_text(error));
    return end_request(connection, RequestStatus::connect_error, false, user_arrival());
  }
  connection.state = Connection::State::connecting;
  ++n_connecting_;
  poller_.add(connection.socket.fd(), &connection, false, true);
}

void LoadWorker::connected(Connection& connection) {
  const int error = pending_error(connection.socket);
  --n_connecting_;
  if (error != 0) {
    connection.socket.close();
    connection.state = Connection::State::closed;
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

void LoadWorker::send_request(Connection& connection) {
  const auto row = static_cast<std::size_t>(connection.request.row);
  const int length = std::snprintf(connection.length_line.data(), connection.length_line.size(),
                                   "Content-Length: %zu\r\n\r\n", connection.request.body.size());
  connection.length_line_size = static_cast<std::size_t>(length);
  connection.n_sent_bytes = 0;
  connection.waits_for_room = false;
  connection.reader.begin(connection.request.row, options_.reply);
  recording_.columns.connection_id[row] = connection.id;
  connection.state = Connection::State::sending;
  if (recording_.columns.resent[row] == 0) bump(progress_.n_sent);
  connection.t_sent_ns = connection.t_progress_ns = since_start_ns();
  recording_.columns.t_sent_ns[row] = connection.t_sent_ns;
  continue_send(connection);
}

void LoadWorker::continue_send(Connection& connection) {
  const std::array<std::string_view, 3> pieces{
      options_.request_head, std::string_view(connection.length_line.data(), connection.length_line_size),
      connection.request.body};
  for (;;) {
    std::array<iovec, 3> vectors{};
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
  connection.state = Connection::State::receiving;
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

void LoadWorker::read(Connection& connection) {
  const Received received = receive_stamped(connection.socket.fd(), buffer_.data(), buffer_.size());
  const std::int64_t t_read_ns = since_start_ns();
  if (received.n_bytes < 0) {
    if (received.error == EAGAIN || received.error == EWOULDBLOCK || received.error == EINTR) return;
    return lost(connection, "receive: " + error_text(received.error));
  }
  if (received.n_bytes == 0) return lost(connection, "the server closed the connection");
  if (connection.state == Connection::State::idle) return retire(connection);  // bytes nobody asked for
  const Arrival arrival = arrival_of(received.t_realtime_ns, t_read_ns, connection.t_sent_ns);
  connection.t_progress_ns = t_read_ns;
  const std::size_t n_events = recording_.log.size();
  const auto progress =
      connection.reader.feed({buffer_.data(), static_cast<std::size_t>(received.n_bytes)}, arrival, recording_);
  bump(progress_.n_events, static_cast<std::int64_t>(recording_.log.size() - n_events));
  bump(progress_.bytes_received, received.n_bytes);
  if (progress == ReplyReader::Progress::more) return;
  const bool whole = progress == ReplyReader::Progress::complete && connection.state == Connection::State::receiving;
  end_request(connection, connection.reader.status(), whole && connection.reader.reusable(), arrival);
  if (options_.closed_loop) dispatch();
}

void LoadWorker::lost(Connection& connection, const std::string& reason) {
  if (connection.state == Connection::State::idle) return retire(connection);
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

void LoadWorker::end_request(Connection& connection, RequestStatus status, bool reuse, const Arrival& arrival) {
  const std::int32_t row = connection.request.row;
  RequestColumns& columns = recording_.columns;
  columns.status[static_cast<std::size_t>(row)] = static_cast<std::uint8_t>(status);
  recording_.set_stamp(columns.t_done_ns, row, arrival);
  recording_.row_finished(row);
  bump(progress_.n_done);
  if (status != RequestStatus::ok) bump(progress_.n_failed);
  release(connection);
  connection.request = {};
  if (reuse && options_.keep_alive) {
    connection.state = Connection::State::idle;
    idle_.push_back(&connection);
  } else {
    connection.socket.close();
    connection.state = Connection::State::closed;
    spent_.push_back(&connection);
  }
}

void LoadWorker::release(Connection& connection) {
  active_[connection.active_index] = active_.back();
  active_[connection.active_index]->active_index = connection.active_index;
  active_.pop_back();
  progress_.n_in_flight.store(static_cast<std::int64_t>(active_.size()), std::memory_order_relaxed);
}

void LoadWorker::retire(Connection& connection) {
  std::erase(idle_, &connection);
  connection.socket.close();
  connection.state = Connection::State::closed;
  spent_.push_back(&connection);
}

void LoadWorker::check_timeouts(std::int64_t t_now_ns) {
  const auto past = [t_now_ns](std::int64_t since_ns, std::int64_t limit_ns) {
    return limit_ns > 0 && t_now_ns - since_ns > limit_ns;
  };
  for (std::size_t i = active_.size(); i-- > 0;) {
    Connection& connection = *active_[i];
    const std::int32_t row = connection.request.row;
    if (connection.state == Connection::State::connecting) {
      if (!past(connection.t_connect_ns, options_.connect_timeout_ns) &&
          !past(connection.t_connect_ns, options_.request_timeout_ns))
        continue;
      --n_connecting_;
      recording_.set_error(row, "connect: timed out");
      end_request(connection, RequestStatus::connect_error, false, user_arrival());
    } else if (past(connection.t_sent_ns, options_.request_timeout_ns)) {
      recording_.set_error(row, "request time-out");
      end_request(connection, RequestStatus::timeout, false, user_arrival());
    } else if (past(connection.t_progress_ns, options_.no_progress_timeout_ns)) {
      recording_.set_error(row, "no byte came within the no-progress time-out");
      end_request(connection, RequestStatus::stalled, false, user_arrival());
    }
  }
}

void LoadWorker::settle(std::int64_t t_now_ns, bool last) {
  switch (last ? wall_clock_.refresh_now() : wall_clock_.refresh(t_now_ns)) {
    case WallClock::Refresh::not_due:
      return;
    case WallClock::Refresh::steady:
      recording_.settle();
      break;
    case WallClock::Refresh::stepped:
      recording_.settle_after_step();
      break;
  }
  const std::vector<std::int32_t> finished = recording_.take_finished();
  const std::scoped_lock lock(final_rows_mutex_);
  final_rows_.insert(final_rows_.end(), finished.begin(), finished.end());
}

std::vector<std::int32_t> LoadWorker::take_final_rows() {
  const std::scoped_lock lock(final_rows_mutex_);
  return std::exchange(final_rows_, {});
}

void LoadWorker::cancel_all() {
  while (!active_.empty()) end_request(*active_.back(), RequestStatus::cancelled, false, user_arrival());
}

void LoadWorker::note_costs(std::int64_t t_begin_ns) {
  rusage usage{};
  ::getrusage(RUSAGE_THREAD, &usage);
  const auto to_ns = [](const timeval& time) { return time.tv_sec * 1'000'000'000LL + time.tv_usec * 1'000LL; };
  facts_.cpu_user_ns = to_ns(usage.ru_utime);
  facts_.cpu_system_ns = to_ns(usage.ru_stime);
  facts_.voluntary_switches = usage.ru_nvcsw;
  facts_.involuntary_switches = usage.ru_nivcsw;
  facts_.wall_ns = now_ns() - t_begin_ns;
  facts_.busy_ns = facts_.wall_ns - waited_ns_;
  facts_.n_clock_steps = wall_clock_.n_steps();
  facts_.anchor_uncertainty_ns = wall_clock_.max_uncertainty_ns();
}

}  // namespace tokenclock
