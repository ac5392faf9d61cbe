// The load client: prepared requests in, columns out. The only owner of threads; knows nothing of Python.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tokenclock/columns.h"
#include "tokenclock/load_worker.h"
#include "tokenclock/recording.h"
#include "tokenclock/request_queue.h"

namespace tokenclock {

class LoadClient {
 public:
  // Throws std::invalid_argument for options that make no sense, std::system_error without descriptors.
  LoadClient(LoadOptions options, std::size_t n_rows);
  ~LoadClient();
  LoadClient(const LoadClient&) = delete;
  LoadClient& operator=(const LoadClient&) = delete;

  // Body i is arena[offsets[i], offsets[i + 1]), due t_due_ns[i] after the start, for row rows[i]; due times must not
  // fall. May be called before and while the client runs. head_offsets, where given, cut head_lines the same way into
  // header lines (CRLF after each) that go out with that request only. Throws std::invalid_argument for a row out of
  // range or a size that does not fit, std::logic_error after close().
  void submit(std::string arena, const std::vector<std::int64_t>& offsets, const std::vector<std::int64_t>& t_due_ns,
              const std::vector<std::int32_t>& rows, std::string head_lines = {},
              const std::vector<std::int64_t>& head_offsets = {});
  // No more requests will come: the client ends when all have ended.
  void close();

  // Starts the workers; the run's start is t_epoch_ns (CLOCK_MONOTONIC), or 2 ms from now when that is 0. Returns it.
  std::int64_t start(std::int64_t t_epoch_ns = 0);
  // True when every worker has ended, false when timeout_ns went by first.
  bool wait(std::int64_t timeout_ns);
  // Ends what is in flight as cancelled; returns when the workers have ended.
  void stop();

  struct Progress {
    std::int64_t n_sent = 0;
    std::int64_t n_done = 0;
    std::int64_t n_failed = 0;
    std::int64_t n_in_flight = 0;
    std::int64_t n_events = 0;
    std::int64_t bytes_received = 0;
  };
  [[nodiscard]] Progress progress() const;
  // Bytes of bodies submitted and not yet done with.
  [[nodiscard]] std::int64_t pending_bytes() const noexcept { return pending_bytes_.load(std::memory_order_relaxed); }

  // What became final since the last call: token events in arrival order, and rows that ended. One caller at a time.
  struct Final {
    std::vector<TokenEvent> events;
    std::vector<std::int32_t> rows;
  };
  [[nodiscard]] Final take_final();

  // After wait() returned true or stop() returned; std::logic_error before.
  [[nodiscard]] const RaggedTokens& tokens();
  [[nodiscard]] const RequestColumns& columns() const noexcept { return columns_; }
  [[nodiscard]] const ReplyTexts& texts() const noexcept { return texts_; }
  [[nodiscard]] std::size_t n_workers() const noexcept { return workers_.size(); }
  [[nodiscard]] const LoadWorker& worker(std::size_t i) const noexcept { return *workers_[i]; }
  [[nodiscard]] bool is_unix() const noexcept { return options_.addresses.front().is_unix(); }
  [[nodiscard]] bool kernel_stamps() const noexcept { return options_.kernel_stamps; }
  [[nodiscard]] bool ended() const;

 private:
  LoadOptions options_;
  RequestColumns columns_;
  ReplyTexts texts_;
  std::atomic<std::int64_t> pending_bytes_{0};
  std::vector<std::unique_ptr<RequestQueue>> queues_;
  std::vector<std::unique_ptr<LoadWorker>> workers_;
  std::vector<std::size_t> n_taken_events_;
  std::vector<std::thread> threads_;
  mutable std::mutex mutex_;
  std::condition_variable all_ended_;
  std::size_t n_ended_ = 0;
  bool started_ = false;
  bool closed_ = false;
  std::unique_ptr<RaggedTokens> tokens_;
};

}  // namespace tokenclock
