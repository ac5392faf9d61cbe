#include "tokenclock/load_client.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>

#include "tokenclock/receive_stamp.h"

namespace tokenclock {

namespace {

constexpr std::int64_t kStartLeadNs = 2'000'000;

// Worker i of n gets its share of the slots; the first ones get what does not divide.
std::size_t share_of(std::size_t total, std::size_t n, std::size_t i) { return total / n + (i < total % n ? 1 : 0); }

LoadOptions checked(LoadOptions options) {
  if (options.addresses.empty()) throw std::invalid_argument("addresses must name at least one address, got none");
  if (options.n_workers == 0) throw std::invalid_argument("n_workers must be >= 1, got 0");
  if (options.max_concurrency > 0) options.n_workers = std::min(options.n_workers, options.max_concurrency);
  if (options.closed_loop && options.max_concurrency == 0)
    throw std::invalid_argument("a closed loop needs max_concurrency >= 1, got 0");
  if (options.event_capacity == 0) options.event_capacity = std::size_t{1} << 26;
  return options;
}

// Piece i of n is [offsets[i], offsets[i + 1]) of an arena of that size.
void check_offsets(const std::vector<std::int64_t>& offsets, std::size_t n, std::size_t arena_size) {
  if (offsets.size() != n + 1) throw std::invalid_argument("expected n rows, n due times and n + 1 offsets");
  for (std::size_t i = 0; i < n; ++i) {
    if (offsets[i] < 0 || offsets[i] > offsets[i + 1])
      throw std::invalid_argument("offsets must start at 0 or above and must not fall");
  }
  if (static_cast<std::size_t>(offsets.back()) > arena_size)
    throw std::invalid_argument("the last offset lies outside the arena");
}

std::string_view piece_of(std::string_view arena, const std::vector<std::int64_t>& offsets, std::size_t i) {
  return arena.substr(static_cast<std::size_t>(offsets[i]), static_cast<std::size_t>(offsets[i + 1] - offsets[i]));
}

}  // namespace

LoadClient::LoadClient(LoadOptions options, std::size_t n_rows)
    : options_(checked(std::move(options))), columns_(n_rows), texts_(n_rows, options_.reply) {
  options_.max_connecting = std::max<std::size_t>(1, options_.max_connecting / options_.n_workers);
  const std::size_t n_queues = options_.closed_loop ? 1 : options_.n_workers;
  for (std::size_t i = 0; i < n_queues; ++i) queues_.push_back(std::make_unique<RequestQueue>());
  for (std::size_t i = 0; i < options_.n_workers; ++i) {
    const std::size_t slots = options_.max_concurrency == 0 ? std::numeric_limits<std::size_t>::max()
                                                            : share_of(options_.max_concurrency, options_.n_workers, i);
    workers_.push_back(
        std::make_unique<LoadWorker>(options_, *queues_[i % n_queues], columns_, texts_, static_cast<int>(i), slots));
  }
  n_taken_events_.assign(workers_.size(), 0);
}

LoadClient::~LoadClient() { stop(); }

void LoadClient::submit(std::string arena, const std::vector<std::int64_t>& offsets,
                        const std::vector<std::int64_t>& t_due_ns, const std::vector<std::int32_t>& rows,
                        std::string head_lines, const std::vector<std::int64_t>& head_offsets) {
  if (t_due_ns.size() != rows.size()) throw std::invalid_argument("expected n rows, n due times and n + 1 offsets");
  check_offsets(offsets, rows.size(), arena.size());
  if (!head_offsets.empty()) check_offsets(head_offsets, rows.size(), head_lines.size());
  for (const std::int32_t row : rows) {
    if (row < 0 || static_cast<std::size_t>(row) >= columns_.n_rows)
      throw std::invalid_argument("row " + std::to_string(row) + " is outside the table of " +
                                  std::to_string(columns_.n_rows));
  }
  {
    const std::scoped_lock lock(mutex_);
    if (closed_) throw std::logic_error("submit() after close()");
  }
  const auto batch = std::make_shared<const RequestBatch>(std::move(arena), std::move(head_lines), pending_bytes_);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::string_view lines =
        head_offsets.empty() ? std::string_view() : piece_of(batch->head_lines, head_offsets, i);
    queues_[static_cast<std::size_t>(rows[i]) % queues_.size()]->push(
        {batch, piece_of(batch->arena, offsets, i), lines, t_due_ns[i], rows[i]});
  }
  for (const auto& worker : workers_) worker->wake();
}

void LoadClient::close() {
  {
    const std::scoped_lock lock(mutex_);
    closed_ = true;
  }
  for (const auto& queue : queues_) queue->close();
  for (const auto& worker : workers_) worker->wake();
}

std::int64_t LoadClient::start(std::int64_t t_epoch_ns) {
  {
    const std::scoped_lock lock(mutex_);
    if (started_) throw std::logic_error("start() called twice");
    started_ = true;
  }
  // Streams over a Unix socket are never stamped by the kernel.
  options_.kernel_stamps = options_.kernel_stamps && !is_unix() && wake_kernel_stamping();
  if (t_epoch_ns == 0) t_epoch_ns = now_ns() + kStartLeadNs;
  for (const auto& worker : workers_) {
    threads_.emplace_back([this, &worker = *worker, t_epoch_ns] {
      worker.run(t_epoch_ns);
      const std::scoped_lock lock(mutex_);
      ++n_ended_;
      all_ended_.notify_all();
    });
  }
  return t_epoch_ns;
}

bool LoadClient::ended() const {
  const std::scoped_lock lock(mutex_);
  return started_ && n_ended_ == workers_.size();
}

bool LoadClient::wait(std::int64_t timeout_ns) {
  std::unique_lock lock(mutex_);
  if (!started_) throw std::logic_error("wait() before start()");
  return all_ended_.wait_for(lock, std::chrono::nanoseconds(timeout_ns),
                             [this] { return n_ended_ == workers_.size(); });
}

void LoadClient::stop() {
  for (const auto& worker : workers_) worker->stop();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

LoadClient::Progress LoadClient::progress() const {
  Progress sum;
  for (const auto& worker : workers_) {
    const WorkerProgress& progress = worker->progress();
    sum.n_sent += progress.n_sent.load(std::memory_order_relaxed);
    sum.n_done += progress.n_done.load(std::memory_order_relaxed);
    sum.n_failed += progress.n_failed.load(std::memory_order_relaxed);
    sum.n_in_flight += progress.n_in_flight.load(std::memory_order_relaxed);
    sum.n_events += progress.n_events.load(std::memory_order_relaxed);
    sum.bytes_received += progress.bytes_received.load(std::memory_order_relaxed);
  }
  return sum;
}

LoadClient::Final LoadClient::take_final() {
  Final result;
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    // rows first: their events were published before them
    const std::vector<std::int32_t> rows = workers_[i]->take_final_rows();
    result.rows.insert(result.rows.end(), rows.begin(), rows.end());
    const TokenEventLog& log = workers_[i]->recording().log;
    const std::size_t end = log.published();
    result.events.insert(result.events.end(), log.data() + n_taken_events_[i], log.data() + end);
    n_taken_events_[i] = end;
  }
  return result;
}

const RaggedTokens& LoadClient::tokens() {
  if (!ended()) throw std::logic_error("the token columns are ready when the run has ended: wait() or stop() first");
  if (!tokens_) {
    std::vector<const TokenEventLog*> logs;
    logs.reserve(workers_.size());
    for (const auto& worker : workers_) logs.push_back(&worker->recording().log);
    tokens_ = std::make_unique<RaggedTokens>(to_ragged(logs, columns_.n_rows));
  }
  return *tokens_;
}

}  // namespace tokenclock
