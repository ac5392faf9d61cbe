// One event loop of the load client: takes requests when they are due and a slot is free, sends, reads, stamps.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "tokenclock/clock.h"
#include "tokenclock/load_connection.h"
#include "tokenclock/poller.h"
#include "tokenclock/recording.h"
#include "tokenclock/reply_reader.h"
#include "tokenclock/request_queue.h"
#include "tokenclock/socket.h"
#include "tokenclock/tls.h"

namespace tokenclock {

struct LoadOptions {
  std::vector<Address> addresses;         // tried in order until one accepts
  std::shared_ptr<const TlsContext> tls;  // none: plain connections
  std::string request_head;  // request line and headers, CRLF after each; Content-Length is added per request
  ReplyOptions reply;
  std::size_t n_workers = 1;
  std::size_t max_concurrency = 0;  // 0: unlimited
  std::size_t max_connecting = 256;
  bool closed_loop = false;  // a request is due when a slot is free for it
  bool keep_alive =
      true;  // false: the head should say `Connection: close`, and every request gets a connection of its own
  bool kernel_stamps = true;
  std::int64_t request_timeout_ns = 0;      // 0: none
  std::int64_t no_progress_timeout_ns = 0;  // 0: none
  std::int64_t connect_timeout_ns = 30'000'000'000;
  std::size_t event_capacity = 0;
  std::size_t text_limit_bytes = 0;
  const ClockSource* clock_source = nullptr;  // of the wall-clock anchor; null: the system's (tests put their own)
  std::int64_t ramp_up_ns = 0;                // a closed loop's slots open one by one over this time; 0: all at once
  std::vector<int> cpus;                      // worker i is pinned to cpus[i % size]; empty: not pinned
};

// Counters another thread may look at while the worker runs.
struct alignas(64) WorkerProgress {
  std::atomic<std::int64_t> n_sent{0};
  std::atomic<std::int64_t> n_done{0};
  std::atomic<std::int64_t> n_failed{0};
  std::atomic<std::int64_t> n_in_flight{0};
  std::atomic<std::int64_t> n_events{0};
  std::atomic<std::int64_t> bytes_received{0};
};

// One writer, any reader: no read-modify-write instruction is needed.
inline void bump(std::atomic<std::int64_t>& counter, std::int64_t by = 1) noexcept {
  counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

// What the run cost this worker; valid after run() returned.
struct WorkerFacts {
  std::int64_t cpu_user_ns = 0;
  std::int64_t cpu_system_ns = 0;
  std::int64_t busy_ns = 0;  // wall time outside the poller
  std::int64_t wall_ns = 0;
  std::int64_t voluntary_switches = 0;
  std::int64_t involuntary_switches = 0;
  std::int64_t n_connections = 0;
  std::int64_t n_resent = 0;
  std::int64_t n_seen_closed = 0;  // kept connections that the server was seen to close before they were used again
  std::int32_t replies_per_connection = 0;  // after how many replies the server closes, where that was learnt; 0: not
  std::int64_t n_clock_steps = 0;
  std::int64_t anchor_uncertainty_ns = 0;
  std::int64_t max_in_flight = 0;
  std::string tls;      // what the last handshake agreed on, such as "TLSv1.3 TLS_AES_256_GCM_SHA384"
  std::string failure;  // why the loop itself broke; empty when it ended as it should
};

class LoadWorker {
 public:
  LoadWorker(const LoadOptions& options, RequestQueue& queue, RequestColumns& columns, ReplyTexts& texts, int index,
             std::size_t max_in_flight);
  ~LoadWorker();

  // The thread's body: returns when the queue is closed, empty, and every request has ended, or after stop().
  void run(std::int64_t t_epoch_ns);
  // From any thread.
  void stop() noexcept;
  void wake() noexcept { poller_.wake(); }

  [[nodiscard]] const WorkerProgress& progress() const noexcept { return progress_; }
  [[nodiscard]] const Recording& recording() const noexcept { return recording_; }
  [[nodiscard]] const WorkerFacts& facts() const noexcept { return facts_; }
  // Rows that ended and whose columns are final, since the last call; from any thread.
  [[nodiscard]] std::vector<std::int32_t> take_final_rows();

 private:
  void loop();
  void on_ready(LoadConnection& connection, const Poller::Ready& ready);
  void dispatch();
  void start(PreparedRequest request);
  void connect(LoadConnection& connection);
  void connected(LoadConnection& connection);
  void connect_failed(LoadConnection& connection, int error);
  void retry_crowded();
  void disconnect(LoadConnection& connection);
  void send_request(LoadConnection& connection);
  void continue_send(LoadConnection& connection);
  [[nodiscard]] std::array<std::string_view, 4> pieces_of(const LoadConnection& connection) const noexcept;
  void wait_for_room(LoadConnection& connection, bool wait);
  void read(LoadConnection& connection);
  [[nodiscard]] bool outlives_reply(const LoadConnection& connection);
  void note_closed_on_reuse(const LoadConnection& connection);
  void lost(LoadConnection& connection, const std::string& reason);
  // TLS (load_tls.cpp)
  void begin_handshake(LoadConnection& connection);
  void end_handshake(LoadConnection& connection);
  void fail_handshake(LoadConnection& connection, const std::string& reason);
  [[nodiscard]] int flush(LoadConnection& connection);
  bool encrypt_next(LoadConnection& connection);
  void continue_encrypted_send(LoadConnection& connection);
  bool decrypt(LoadConnection& connection, std::string_view& bytes);
  [[nodiscard]] std::string reason_of_end(const LoadConnection& connection) const;
  [[nodiscard]] std::string last_words(LoadConnection& connection, const std::string& otherwise);

  void end_request(LoadConnection& connection, RequestStatus status, bool reuse, const Arrival& arrival);
  void retire(LoadConnection& connection);
  void release(LoadConnection& connection);
  [[nodiscard]] std::size_t open_slots(std::int64_t t_now_ns) const noexcept;
  void check_timeouts(std::int64_t t_now_ns);
  void settle(std::int64_t t_now_ns, bool last);
  void cancel_all();
  void close_all();
  void note_costs(std::int64_t t_begin_ns);
  [[nodiscard]] std::int64_t wait_ns(std::int64_t t_now_ns) const;
  [[nodiscard]] std::int64_t since_start_ns() const noexcept { return now_ns() - t_epoch_ns_; }
  [[nodiscard]] Arrival user_arrival() const noexcept;
  [[nodiscard]] Arrival arrival_of(std::int64_t t_realtime_ns, std::int64_t t_read_ns, std::int64_t t_sent_ns) noexcept;

  const LoadOptions& options_;
  RequestQueue& queue_;
  Recording recording_;
  const int index_;
  const std::size_t max_in_flight_;
  Poller poller_;
  WallClock wall_clock_;
  std::int64_t t_epoch_ns_ = 0;
  std::int64_t t_next_check_ns_ = 0;
  std::size_t address_index_ = 0;  // of the address that last accepted
  std::size_t n_connecting_ = 0;
  std::int32_t n_replies_at_close_ = 0;  // of the connections that last turned out closed when they were used again
  int n_alike_closes_ = 0;               // how many of them in a row had that many
  std::int64_t n_given_up_ = 0;          // connections not used again for what was learnt
  std::int64_t waited_ns_ = 0;
  std::int64_t t_last_send_ns_ = 0;
  std::int32_t next_connection_id_;
  std::vector<std::unique_ptr<LoadConnection>> connections_;
  std::vector<LoadConnection*> active_;   // with a request under way
  std::vector<LoadConnection*> idle_;     // kept alive, last used first
  std::vector<LoadConnection*> spent_;    // closed ones, ready to be used again
  std::vector<LoadConnection*> crowded_;  // whose Unix socket had no room in its queue: tried again and again
  std::vector<char> buffer_;
  std::vector<char> plain_;  // of TLS: what buffer_ said, or what is to be encrypted
  std::atomic<bool> stop_{false};
  WorkerProgress progress_;
  WorkerFacts facts_;
  std::mutex final_rows_mutex_;
  std::vector<std::int32_t> final_rows_;
};

}  // namespace tokenclock
