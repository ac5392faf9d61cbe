#include "tokenclock/cuda_events.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>

#include "libcuda.h"

namespace tokenclock {

namespace {

constexpr std::uintptr_t kLastSpecialStream = 2;  // 0, 1 and 2 are the default streams, which no context made
constexpr auto kPollInterval = std::chrono::microseconds(50);

void check(const cuda::Driver& driver, const char* call, cuda::Code code, const char* remedy = "") {
  if (code != cuda::kSuccess) throw CudaError(cuda::describe(driver, call, code) + remedy);
}

cuda::Stream* as_stream(std::uintptr_t handle) {
  return reinterpret_cast<cuda::Stream*>(handle);  // NOLINT(performance-no-int-to-ptr): users hand streams as integers
}

}  // namespace

// Makes the pool's context the calling thread's for a while. Costs one question where it is already.
class CudaEventPool::ContextScope {
 public:
  ContextScope(const cuda::Driver& driver, cuda::Context* context) : driver_(driver) {
    cuda::Context* current = nullptr;
    check(driver, "cuCtxGetCurrent", driver.functions.cuCtxGetCurrent(&current));
    if (current == context) return;
    check(driver, "cuCtxPushCurrent", driver.functions.cuCtxPushCurrent_v2(context));
    is_pushed_ = true;
  }
  ~ContextScope() {
    cuda::Context* popped = nullptr;
    if (is_pushed_) driver_.functions.cuCtxPopCurrent_v2(&popped);
  }
  ContextScope(const ContextScope&) = delete;
  ContextScope& operator=(const ContextScope&) = delete;

 private:
  const cuda::Driver& driver_;
  bool is_pushed_ = false;
};

std::string cuda_problem() {
  const cuda::Driver& driver = cuda::driver();
  if (!driver.problem.empty()) return driver.problem;
  const char* const remedy = "; see what nvidia-smi says, and what CUDA_VISIBLE_DEVICES leaves";
  if (const cuda::Code code = driver.functions.cuInit(0); code != cuda::kSuccess) {
    return cuda::describe(driver, "cuInit", code) + remedy;
  }
  int n_devices = 0;
  if (const cuda::Code code = driver.functions.cuDeviceGetCount(&n_devices); code != cuda::kSuccess) {
    return cuda::describe(driver, "cuDeviceGetCount", code) + remedy;
  }
  return n_devices > 0 ? "" : cuda::describe(driver, "cuDeviceGetCount", cuda::kNoDevice) + remedy;
}

CudaEventPool::CudaEventPool(std::int64_t n_pairs, std::uintptr_t stream, int device)
    : CudaEventPool(n_pairs, stream, device, cuda::driver()) {}

CudaEventPool::CudaEventPool(std::int64_t n_pairs, std::uintptr_t stream, int device, const cuda::Driver& driver)
    : driver_(driver) {
  if (n_pairs < 1 || n_pairs > kMaxPairs) {
    throw std::invalid_argument("n_pairs: expected 1 to " + std::to_string(kMaxPairs) + ", got " +
                                std::to_string(n_pairs));
  }
  if (device < 0) throw std::invalid_argument("device: expected 0 or more, got " + std::to_string(device));
  if (!driver.problem.empty()) throw CudaError(driver.problem);
  const cuda::Functions& call = driver.functions;
  check(driver, "cuInit", call.cuInit(0), "; see what nvidia-smi says, and what CUDA_VISIBLE_DEVICES leaves");
  events_.assign(static_cast<std::size_t>(2 * n_pairs), nullptr);
  is_recorded_.assign(events_.size(), 0);
  if (stream > kLastSpecialStream) {
    check(driver, "cuStreamGetCtx", call.cuStreamGetCtx(as_stream(stream), &context_),
          "; expected the handle of a stream that is still there");
  } else {
    check(driver, "cuCtxGetCurrent", call.cuCtxGetCurrent(&context_));
  }
  if (context_ == nullptr) {
    cuda::Device handle = 0;
    check(driver, "cuDeviceGet", call.cuDeviceGet(&handle, device), "; CUDA_VISIBLE_DEVICES says which devices count");
    check(driver, "cuDevicePrimaryCtxRetain", call.cuDevicePrimaryCtxRetain(&context_, handle));
    retained_device_ = handle;
  }
  try {
    make_events();
  } catch (...) {
    free_all();  // no destructor runs for what was not constructed
    throw;
  }
}

CudaEventPool::~CudaEventPool() { free_all(); }

void CudaEventPool::make_events() {
  const ContextScope scope(driver_, context_);
  constexpr unsigned kTimed = 0;
  for (cuda::Event*& event : events_) {
    check(driver_, "cuEventCreate", driver_.functions.cuEventCreate(&event, kTimed));
  }
}

// Nothing to tell anybody: at the end of a process the driver may be gone before the pool, and says so.
void CudaEventPool::free_all() noexcept {
  cuda::Context* ignored = nullptr;
  if (driver_.functions.cuCtxPushCurrent_v2(context_) == cuda::kSuccess) {
    for (cuda::Event* event : events_) {
      if (event != nullptr) driver_.functions.cuEventDestroy_v2(event);
    }
    driver_.functions.cuCtxPopCurrent_v2(&ignored);
  }
  if (retained_device_ >= 0) driver_.functions.cuDevicePrimaryCtxRelease_v2(retained_device_);
}

cuda::Event* CudaEventPool::checked(std::int64_t event) const {
  if (event < 0 || event >= static_cast<std::int64_t>(events_.size())) {
    throw std::out_of_range("event: expected 0 to " + std::to_string(events_.size() - 1) + ", got " +
                            std::to_string(event));
  }
  return events_[static_cast<std::size_t>(event)];
}

void CudaEventPool::record(std::int64_t event, std::uintptr_t stream) {
  cuda::Event* const handle = checked(event);
  const ContextScope scope(driver_, context_);
  check(driver_, "cuEventRecord", driver_.functions.cuEventRecord(handle, as_stream(stream)),
        "; expected a stream of the context that the pool was made in");
  is_recorded_[static_cast<std::size_t>(event)] = 1;
}

bool CudaEventPool::is_complete(std::size_t event) const {
  const cuda::Code code = driver_.functions.cuEventQuery(events_[event]);
  if (code != cuda::kNotReady) check(driver_, "cuEventQuery", code);
  return code == cuda::kSuccess;
}

std::int64_t CudaEventPool::elapsed_ns(std::int64_t first, std::int64_t last) const {
  cuda::Event* const start = checked(first);
  cuda::Event* const stop = checked(last);
  const auto i = static_cast<std::size_t>(first);
  const auto k = static_cast<std::size_t>(last);
  if (is_recorded_[i] == 0 || is_recorded_[k] == 0) return kMissingNs;
  const ContextScope scope(driver_, context_);
  if (!is_complete(i) || !is_complete(k)) return kMissingNs;
  float elapsed_ms = 0.0F;
  check(driver_, "cuEventElapsedTime", driver_.functions.cuEventElapsedTime(&elapsed_ms, start, stop));
  return std::llround(static_cast<double>(elapsed_ms) * 1e6);
}

std::vector<std::int64_t> CudaEventPool::elapsed_ns() const {
  std::vector<std::int64_t> all(static_cast<std::size_t>(n_pairs()));
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto start = static_cast<std::int64_t>(2 * i);
    all[i] = elapsed_ns(start, start + 1);
  }
  return all;
}

bool CudaEventPool::wait(std::int64_t timeout_ns) const {
  const ContextScope scope(driver_, context_);
  const std::int64_t t_start_ns = now_ns();
  for (std::size_t event = 0; event < events_.size();) {
    if (is_recorded_[event] == 0 || is_complete(event)) {
      ++event;
    } else if (now_ns() - t_start_ns >= timeout_ns) {
      return false;
    } else {
      std::this_thread::sleep_for(kPollInterval);
    }
  }
  return true;
}

void CudaEventPool::clear() noexcept { std::fill(is_recorded_.begin(), is_recorded_.end(), std::uint8_t{0}); }

}  // namespace tokenclock
