#include "tokenclock/load_worker.h"

#include <pthread.h>
#include <sched.h>
#if defined(__linux__)
#include <sys/prctl.h>
#endif
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <limits>
#include <utility>

namespace tokenclock {

namespace {

constexpr std::int64_t kCheckIntervalNs = 50'000'000;
constexpr std::int64_t kCrowdedPauseNs = 1'000'000;
constexpr std::int64_t kRampPauseNs = 500'000;  // between two looks whether another slot has opened
constexpr std::int64_t kSpinNs = 60'000;        // before a due instant the loop looks without sleeping
constexpr std::size_t kReadyWhilePacing = 16;   // events handled between two looks at the schedule
constexpr std::size_t kReadBytes = 256 * 1024;
constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

}  // namespace

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
  ::prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);  // by default the kernel may wake this thread 50 us late
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
    for (const LoadConnection* connection : active_) recording_.set_error(connection->request.row, facts_.failure);
  }
  cancel_all();
  close_all();
  settle(now_ns(), true);
  note_costs(t_begin_ns);
}

void LoadWorker::loop() {
  const bool shakes_hands = options_.tls != nullptr;
  const std::size_t max_ready = options_.closed_loop ? 0 : kReadyWhilePacing;
  while (!stop_.load(std::memory_order_relaxed)) {
    dispatch();
    if (active_.empty() && queue_.exhausted()) break;
    const std::int64_t t_wait_ns = now_ns();
    const auto ready = poller_.wait(wait_ns(t_wait_ns), max_ready);
    const std::int64_t t_woke_ns = now_ns();
    waited_ns_ += t_woke_ns - t_wait_ns;
    // A handshake takes as long as a hundred events: one at a time, and after everything that is streaming. The others
    // are ready again at the next look.
    const Poller::Ready* handshake = nullptr;
    for (const Poller::Ready& entry : ready) {
      if (entry.owner == nullptr) continue;
      LoadConnection& connection = *static_cast<LoadConnection*>(entry.owner);
      if (shakes_hands && connection.state <= LoadConnection::State::handshaking) {
        if (handshake == nullptr) handshake = &entry;
      } else {
        on_ready(connection, entry);
      }
    }
    if (handshake != nullptr) on_ready(*static_cast<LoadConnection*>(handshake->owner), *handshake);
    if (!crowded_.empty()) retry_crowded();
    if (t_woke_ns >= t_next_check_ns_) {
      t_next_check_ns_ = t_woke_ns + kCheckIntervalNs;
      check_timeouts(t_woke_ns - t_epoch_ns_);
      settle(t_woke_ns, false);
    }
  }
}

void LoadWorker::on_ready(LoadConnection& connection, const Poller::Ready& ready) {
  connection.peer_closed = ready.peer_closed;
  switch (connection.state) {
    case LoadConnection::State::closed:
      break;  // an earlier entry of this round ended it
    case LoadConnection::State::connecting:
      connected(connection);
      break;
    case LoadConnection::State::sending:
      if (ready.readable || ready.failed) {
        read(connection);
      } else {
        continue_send(connection);
      }
      break;
    case LoadConnection::State::handshaking:
    case LoadConnection::State::receiving:
    case LoadConnection::State::idle:
      if (ready.readable || ready.failed) {
        read(connection);
      } else if (const int error = flush(connection); error != 0 && error != EAGAIN) {
        lost(connection, "send: " + error_text(error));
      }
      break;
  }
}

std::int64_t LoadWorker::wait_ns(std::int64_t t_now_ns) const {
  std::int64_t wait = std::max<std::int64_t>(0, t_next_check_ns_ - t_now_ns);
  if (!crowded_.empty()) wait = std::min(wait, kCrowdedPauseNs);
  if (n_connecting_ >= options_.max_connecting || active_.size() >= max_in_flight_) return wait;
  const std::int64_t due_ns = queue_.next_due_ns(kNever);
  if (due_ns == kNever) return wait;
  if (active_.size() >= open_slots(t_now_ns - t_epoch_ns_)) {
    wait = std::min(wait, kRampPauseNs);
  } else {
    wait = std::min(wait, std::max<std::int64_t>(0, due_ns + t_epoch_ns_ - t_now_ns - kSpinNs));
  }
  return wait;
}

void LoadWorker::dispatch() {
  PreparedRequest request;
  while (n_connecting_ < options_.max_connecting) {
    const std::int64_t t_now_ns = since_start_ns();
    if (active_.size() >= open_slots(t_now_ns) || !queue_.try_pop(t_now_ns, request)) return;
    start(std::move(request));
  }
}

// While the load ramps up, slot k of n opens k/n of the way; one that is open stays so, from request to request.
std::size_t LoadWorker::open_slots(std::int64_t t_now_ns) const noexcept {
  if (t_now_ns >= options_.ramp_up_ns) return max_in_flight_;
  const double share =
      static_cast<double>(std::max<std::int64_t>(0, t_now_ns)) / static_cast<double>(options_.ramp_up_ns);
  return std::min(max_in_flight_, 1 + static_cast<std::size_t>(share * static_cast<double>(max_in_flight_)));
}

void LoadWorker::start(PreparedRequest request) {
  const auto row = static_cast<std::size_t>(request.row);
  RequestColumns& columns = recording_.columns;
  columns.worker[row] = static_cast<std::int16_t>(index_);
  if (columns.t_scheduled_ns[row] == kMissingNs) {
    columns.t_scheduled_ns[row] = options_.closed_loop ? since_start_ns() : request.t_due_ns;
  }
  LoadConnection* connection = nullptr;
  if (!idle_.empty()) {
    connection = idle_.back();
    idle_.pop_back();
    connection->reused = true;
  } else if (!spent_.empty()) {
    connection = spent_.back();
    spent_.pop_back();
  } else {
    connections_.push_back(std::make_unique<LoadConnection>());
    connection = connections_.back().get();
  }
  connection->request = std::move(request);
  connection->t_sent_ns = kMissingNs;
  connection->active_index = active_.size();
  active_.push_back(connection);
  progress_.n_in_flight.store(static_cast<std::int64_t>(active_.size()), std::memory_order_relaxed);
  facts_.max_in_flight = std::max(facts_.max_in_flight, static_cast<std::int64_t>(active_.size()));
  if (connection->state == LoadConnection::State::idle) {
    send_request(*connection);
  } else {
    connection->addresses_left = options_.addresses.size();
    connection->address_index = address_index_;
    connect(*connection);
  }
}

void LoadWorker::end_request(LoadConnection& connection, RequestStatus status, bool reuse, const Arrival& arrival) {
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
    connection.state = LoadConnection::State::idle;
    idle_.push_back(&connection);
  } else {
    disconnect(connection);
    connection.state = LoadConnection::State::closed;
    spent_.push_back(&connection);
  }
}

void LoadWorker::release(LoadConnection& connection) {
  active_[connection.active_index] = active_.back();
  active_[connection.active_index]->active_index = connection.active_index;
  active_.pop_back();
  progress_.n_in_flight.store(static_cast<std::int64_t>(active_.size()), std::memory_order_relaxed);
}

void LoadWorker::retire(LoadConnection& connection) {
  std::erase(idle_, &connection);
  disconnect(connection);
  connection.state = LoadConnection::State::closed;
  spent_.push_back(&connection);
}

void LoadWorker::check_timeouts(std::int64_t t_now_ns) {
  const auto past = [t_now_ns](std::int64_t since_ns, std::int64_t limit_ns) {
    return limit_ns > 0 && t_now_ns - since_ns > limit_ns;
  };
  for (std::size_t i = active_.size(); i-- > 0;) {
    LoadConnection& connection = *active_[i];
    const std::int32_t row = connection.request.row;
    const bool connecting = connection.state == LoadConnection::State::connecting;
    if (connecting || connection.state == LoadConnection::State::handshaking) {
      if (!past(connection.t_connect_ns, options_.connect_timeout_ns) &&
          !past(connection.t_connect_ns, options_.request_timeout_ns))
        continue;
      --n_connecting_;
      std::erase(crowded_, &connection);
      recording_.set_error(row, connecting ? "connect: timed out" : "TLS: the handshake timed out");
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

// Descriptors are scarce: whoever reads the columns may want to write a file.
void LoadWorker::close_all() {
  for (const auto& connection : connections_) connection->socket.close();
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
