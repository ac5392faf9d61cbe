// The paced server's one thread: reads requests, keeps the schedule, sends, logs.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <queue>
#include <string>
#include <string_view>
#include <vector>

#include "tokenclock/clock.h"
#include "tokenclock/paced_connection.h"
#include "tokenclock/paced_options.h"
#include "tokenclock/paced_schedule.h"
#include "tokenclock/paced_truth.h"
#include "tokenclock/poller.h"
#include "tokenclock/receive_stamp.h"
#include "tokenclock/send_stamp.h"

namespace tokenclock {

// Written by the loop's thread, read by any.
struct PacedCounters {
  std::atomic<std::int64_t> n_requests{0};
  std::atomic<std::int64_t> n_prompt_tokens{0};
  std::atomic<std::int64_t> n_tokens{0};
  std::atomic<std::int64_t> n_in_flight{0};
  std::atomic<std::int64_t> n_connections{0};
  std::atomic<std::int64_t> n_clock_steps{0};
  std::atomic<std::int64_t> cpu_ns{0};   // of the thread; refreshed about every 100 ms
  std::atomic<std::int64_t> spun_ns{0};  // of which: waiting awake for the next emission
};

class PacedLoop {
 public:
  // `listener`: a listening non-blocking socket; stays the caller's.
  PacedLoop(const PacedOptions& options, int listener, const ClockSource& clock, PacedTruth& truth,
            PacedCounters& counters);
  ~PacedLoop();
  PacedLoop(const PacedLoop&) = delete;
  PacedLoop& operator=(const PacedLoop&) = delete;

  void run();            // until stop(); throws std::system_error when the poller fails
  void stop() noexcept;  // any thread

 private:
  struct Due {
    std::int64_t t_ns;
    std::uint64_t order;  // first come, first served among equals
    std::size_t slot;
    std::uint64_t generation;
    bool operator>(const Due& other) const noexcept {
      return t_ns != other.t_ns ? t_ns > other.t_ns : order > other.order;
    }
  };
  struct Arrival {
    std::int64_t t_ns;
    bool by_kernel;
    std::int64_t t_read_ns;
  };

  // connections
  void accept_all();
  void close(PacedConnection& connection);
  void update_interest(PacedConnection& connection);
  static bool only_a_stamp(PacedConnection& connection);
  void on_ready(PacedConnection& connection, const Poller::Ready& ready);
  void on_readable(PacedConnection& connection);
  void on_writable(PacedConnection& connection);
  bool decrypt(PacedConnection& connection, std::string_view& input);
  static std::string_view to_wire(const PacedConnection& connection, std::string_view bytes);
  bool write(PacedConnection& connection, std::string_view bytes);
  bool write_wire(PacedConnection& connection, std::string_view wire, bool stamped = false);
  void hang_up(PacedConnection& connection);
  void end_reply(PacedConnection& connection);
  void complete_reply(PacedConnection& connection);

  // requests (paced_routes.cpp)
  void on_request(PacedConnection& connection, const Arrival& arrival);
  void on_bad_request(PacedConnection& connection);
  [[nodiscard]] PacedReply route(const PacedConnection& connection, const Arrival& arrival);
  void generation(const HttpRequestParser& request, bool chat, const Arrival& arrival, PacedReply& reply);
  void refuse(PacedReply& reply, int status, std::string_view message) const;
  [[nodiscard]] bool serves(std::string_view escaped_model) const;

  // emission
  void serve(PacedConnection& connection);
  void begin(PacedConnection& connection);
  void schedule(PacedConnection& connection);
  void advance(PacedReply& reply, std::int64_t t_now_ns);
  void emit(PacedConnection& connection);
  bool strike(PacedConnection& connection);  // a fault that ends the reply; false: it goes on
  void fall_silent(PacedConnection& connection);
  void emit_whole(PacedConnection& connection);
  std::int64_t send_logged(PacedConnection& connection, std::int32_t n_tokens, std::int32_t n_events,
                           std::int64_t t_due_ns, bool first_content = false);

  // time
  void note_on_wire(PacedConnection& connection, std::int32_t row, std::int64_t t_send_ns);
  [[nodiscard]] Arrival arrival_of(const Received& received, std::int64_t t_read_ns) const noexcept;
  void tick(std::int64_t t_now_ns);
  [[nodiscard]] std::int64_t wait_time_ns(std::int64_t t_now_ns) const noexcept;
  bool wait_awake_until_due();

  const PacedOptions options_;
  int listener_;
  PacedTruth& truth_;
  PacedCounters& counters_;
  WallClock wall_;
  StepGrid grid_;
  Poller poller_;
  std::atomic<bool> stopping_{false};
  std::vector<std::unique_ptr<PacedConnection>> slots_;
  std::vector<std::size_t> free_slots_;
  std::vector<std::unique_ptr<PacedConnection>> closed_;  // freed when nothing on the stack refers to them any more
  std::priority_queue<Due, std::vector<Due>, std::greater<>> due_;
  std::uint64_t n_scheduled_ = 0;
  std::uint64_t n_generations_ = 0;
  std::int64_t n_accepted_ = 0;
  std::int64_t n_generation_requests_ = 0;
  std::int64_t n_active_ = 0;  // generation replies begun and not over
  bool accepting_ = true;
  bool stamps_in_doubt_ = false;                   // the wall clock was stepped since the poller last returned
  std::size_t first_unconfirmed_ = 0;              // rows from here on came in since the anchor before
  std::vector<std::int32_t> unconfirmed_on_wire_;  // rows whose send stamp came since then
  std::int64_t t_last_send_ns_ = 0;
  std::int64_t t_spin_window_ns_ = 0;
  std::int64_t spun_in_window_ns_ = 0;
  std::vector<char> input_;
  std::vector<char> plain_;  // of TLS: what input_ said
  std::string scratch_;
};

}  // namespace tokenclock
