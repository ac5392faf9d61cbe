// Device time: CUDA events on a stream that somebody else made, by the driver library found at run time.
#pragma once

#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "tokenclock/clock.h"

namespace tokenclock {

namespace cuda {
struct Context;
struct Driver;
struct Event;
}  // namespace cuda

// A call of the driver that failed: its name, the error's name, number and text, and what to do where that is known.
class CudaError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Why there is no device to time on, and what to do; empty when there is one. Starts the driver at its first call.
[[nodiscard]] std::string cuda_problem();

// Events made once, recorded any number of times, read after the loop. Event numbers go from 0 to 2 n_pairs - 1; pair i
// is events 2 i (start) and 2 i + 1 (stop). Different events may be recorded by different threads; nothing may be read
// while it is recorded.
class CudaEventPool {
 public:
  static constexpr std::int64_t kMaxPairs = 1 << 20;

  // The events live in the context of `stream` where that is a stream somebody made; else in the calling thread's
  // current context; else in the primary context of device number `device`, which the pool then keeps alive. Throws
  // CudaError, or std::invalid_argument for a number of pairs outside of 1 to kMaxPairs or a negative device.
  explicit CudaEventPool(std::int64_t n_pairs, std::uintptr_t stream = 0, int device = 0);
  CudaEventPool(std::int64_t n_pairs, std::uintptr_t stream, int device, const cuda::Driver& driver);
  ~CudaEventPool();
  CudaEventPool(const CudaEventPool&) = delete;
  CudaEventPool& operator=(const CudaEventPool&) = delete;

  [[nodiscard]] std::int64_t n_pairs() const noexcept { return static_cast<std::int64_t>(events_.size() / 2); }

  // Queues the event behind everything that was put on the stream so far, and returns. `stream`: the handle as an
  // integer; 0 is the legacy default stream, 2 the calling thread's own default stream. Throws CudaError, or
  // std::out_of_range.
  void record(std::int64_t event, std::uintptr_t stream);

  // Device ns from event `first` to event `last`; kMissingNs where one of them was not recorded or the device has not
  // reached it yet. Never waits. The driver tells 0.5 us at best, and time as a float: of a minute it tells 4 us.
  [[nodiscard]] std::int64_t elapsed_ns(std::int64_t first, std::int64_t last) const;
  // Of each pair, in their order.
  [[nodiscard]] std::vector<std::int64_t> elapsed_ns() const;

  // Asks now and then until the device has reached everything recorded, or for timeout_ns. False: it has not.
  [[nodiscard]] bool wait(std::int64_t timeout_ns) const;

  // Forgets what was recorded: every elapsed_ns() is missing until it is recorded anew.
  void clear() noexcept;

 private:
  class ContextScope;
  cuda::Event* checked(std::int64_t event) const;
  bool is_complete(std::size_t event) const;
  void make_events();
  void free_all() noexcept;

  const cuda::Driver& driver_;
  cuda::Context* context_ = nullptr;
  int retained_device_ = -1;  // whose primary context is kept alive; -1: none
  std::vector<cuda::Event*> events_;
  std::vector<std::uint8_t> is_recorded_;  // bytes, not bits: threads record different events
};

}  // namespace tokenclock
