// An OpenAI-compatible server without a model: emits tokens on a schedule and knows when it really did.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <thread>

#include "tokenclock/clock.h"
#include "tokenclock/paced_options.h"
#include "tokenclock/paced_truth.h"

namespace tokenclock {

class PacedLoop;
struct PacedCounters;

class PacedServer {
 public:
  struct Figures {
    std::int64_t n_requests;
    std::int64_t n_prompt_tokens;
    std::int64_t n_tokens;
    std::int64_t n_in_flight;
    std::int64_t n_clock_steps;  // of the wall clock, seen while serving
    std::int64_t cpu_ns;         // of the serving thread
    std::int64_t spun_ns;        // of which it waited awake for the next emission
  };

  // Listens at once; requests are answered from start() on. Throws std::invalid_argument for options that make no
  // sense, std::system_error when the address cannot be had. `clock` outlives the server.
  explicit PacedServer(const PacedOptions& options, const ClockSource& clock = system_clock_source());
  ~PacedServer();
  PacedServer(const PacedServer&) = delete;
  PacedServer& operator=(const PacedServer&) = delete;

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }  // 0 for a Unix socket
  void start();                                                        // once
  // Closes every connection and joins the thread; rethrows what ended it early. May be called again.
  void stop();
  [[nodiscard]] bool is_running() const noexcept;

  // Both at any time, from any thread but one at a time.
  [[nodiscard]] PacedTruthColumns truth() const { return truth_.columns(); }
  [[nodiscard]] Figures figures() const noexcept;

 private:
  std::string unix_socket_;
  std::uint16_t port_ = 0;  // before listener_, whose opening sets it
  int listener_;
  PacedTruth truth_;
  std::unique_ptr<PacedCounters> counters_;
  std::unique_ptr<PacedLoop> loop_;
  std::atomic<bool> running_{false};
  std::exception_ptr failure_;
  std::thread thread_;
};

}  // namespace tokenclock
