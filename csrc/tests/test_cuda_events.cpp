// Against the stand-in of the driver in stand_ins/libcuda.cpp; FAKE_LIBCUDA is its file.
#include <dlfcn.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "../src/libcuda.h"
#include "check.h"
#include "tokenclock/cuda_devices.h"
#include "tokenclock/cuda_events.h"

using namespace tokenclock;

namespace {

constexpr std::int64_t kMs = 1'000'000;

// A function of the stand-in that the core does not use itself.
template <typename Function>
Function of_stand_in(const char* name) {
  static void* const library = ::dlopen(FAKE_LIBCUDA, RTLD_NOW);
  return reinterpret_cast<Function>(::dlsym(library, name));
}
void set_clock(std::int64_t t_ns) { of_stand_in<void (*)(std::int64_t)>("fake_cuda_set_clock_ns")(t_ns); }
void work(std::uintptr_t stream, std::int64_t n_ns) {
  of_stand_in<void (*)(std::uintptr_t, std::int64_t)>("fake_cuda_work")(stream, n_ns);
}
std::int64_t live_events() { return of_stand_in<std::int64_t (*)()>("fake_cuda_live_events")(); }
int references(int device) { return of_stand_in<int (*)(int)>("fake_cuda_primary_references")(device); }

const cuda::Functions& call() { return cuda::driver().functions; }

// The primary context of a device, current in this thread for as long as this lives.
struct Current {
  explicit Current(int device) : device_(device) {
    CHECK_EQ(call().cuDevicePrimaryCtxRetain(&context, device), 0);
    CHECK_EQ(call().cuCtxPushCurrent_v2(context), 0);
  }
  ~Current() {
    cuda::Context* popped = nullptr;
    call().cuCtxPopCurrent_v2(&popped);
    call().cuDevicePrimaryCtxRelease_v2(device_);
  }
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;

  std::uintptr_t make_stream() const {
    void* stream = nullptr;
    CHECK_EQ(of_stand_in<int (*)(void**, unsigned)>("cuStreamCreate")(&stream, 0), 0);
    return reinterpret_cast<std::uintptr_t>(stream);
  }

  cuda::Context* context = nullptr;

 private:
  int device_;
};

// The environment variable `name` for as long as this lives.
struct Setting {
  Setting(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
  ~Setting() { ::unsetenv(name_); }
  Setting(const Setting&) = delete;
  Setting& operator=(const Setting&) = delete;

 private:
  const char* name_;
};

std::string message_of(const std::function<void()>& what) {
  try {
    what();
  } catch (const CudaError& error) {
    return error.what();
  }
  return "nothing was thrown";
}

bool says(const std::string& text, const char* part) {
  const bool found = text.find(part) != std::string::npos;
  if (!found) std::fprintf(stderr, "expected \"%s\" in \"%s\"\n", part, text.c_str());
  return found;
}

}  // namespace

static void a_library_that_is_not_there_or_is_another_is_told_in_one_line() {
  const cuda::Driver missing = cuda::load_driver("/nowhere/libcuda.so.1");
  CHECK(says(missing.problem, "TOKENCLOCK_LIBCUDA=/nowhere/libcuda.so.1 cannot be loaded"));
  CHECK(says(missing.problem, "unset it, or name the file"));
  CHECK(missing.functions.cuInit == nullptr);
  CHECK(says(cuda::load_driver("libm.so.6").problem, "libm.so.6 has no cuInit"));
  CHECK(says(message_of([&] { CudaEventPool(1, 0, 0, missing); }), "cannot be loaded"));
}

static void a_pair_measures_the_work_between_its_events() {
  const Current current(0);
  const std::uintptr_t stream = current.make_stream();
  CudaEventPool pool(3, stream);
  set_clock(1000 * kMs);
  pool.record(0, stream);
  work(stream, 5 * kMs);
  pool.record(1, stream);
  pool.record(2, stream);
  work(stream, 250'000);
  pool.record(3, stream);
  set_clock(1004 * kMs);  // the device is still inside the first pair
  CHECK_EQ(pool.elapsed_ns(0, 1), kMissingNs);
  CHECK(!pool.wait(0));
  set_clock(1005 * kMs);  // it has reached the first stop, and with it the second start
  CHECK_EQ(pool.elapsed_ns(0, 1), 5 * kMs);
  CHECK_EQ(pool.elapsed_ns(2, 3), kMissingNs);
  set_clock(1006 * kMs);
  CHECK(pool.wait(0));
  const std::vector<std::int64_t> expected{5 * kMs, 250'000, kMissingNs};  // the third was not recorded
  CHECK(pool.elapsed_ns() == expected);
  CHECK_EQ(pool.elapsed_ns(0, 3), 5 * kMs + 250'000);
  pool.clear();
  CHECK_EQ(pool.elapsed_ns(0, 1), kMissingNs);
}

static void a_thread_without_a_context_gets_the_primary_one_and_gives_it_back() {
  CHECK_EQ(references(1), 0);
  {
    CudaEventPool pool(4, 0, 1);
    CHECK_EQ(references(1), 1);
    CHECK_EQ(live_events(), 8);
    set_clock(0);
    pool.record(0, 0);
    set_clock(2 * kMs);
    pool.record(1, 0);
    CHECK_EQ(pool.elapsed_ns(0, 1), 2 * kMs);
    cuda::Context* after = nullptr;
    CHECK_EQ(call().cuCtxGetCurrent(&after), 0);
    CHECK(after == nullptr);  // the thread is as it was
  }
  CHECK_EQ(references(1), 0);
  CHECK_EQ(live_events(), 0);
}

static void a_current_context_is_used_and_a_stream_s_own_wins_over_it() {
  std::uintptr_t on_second = 0;
  const Current second(1);
  on_second = second.make_stream();
  const Current first(0);
  {
    CudaEventPool of_current(1);
    CHECK_EQ(references(0), 1);  // the one of `first`: the pool keeps none alive
    of_current.record(0, 0);
    CHECK(says(message_of([&] { of_current.record(1, on_second); }),
               "cuEventRecord failed: CUDA_ERROR_INVALID_HANDLE (400): invalid resource handle; expected a stream of"));
  }
  CudaEventPool of_stream(1, on_second);
  set_clock(0);
  of_stream.record(0, on_second);
  work(on_second, kMs);
  of_stream.record(1, on_second);
  set_clock(kMs);
  CHECK_EQ(of_stream.elapsed_ns(0, 1), kMs);
  CHECK(says(message_of([] { CudaEventPool(1, 0xdead0); }), "cuStreamGetCtx failed: CUDA_ERROR_INVALID_HANDLE (400)"));
}

static void errors_carry_call_name_number_and_text() {
  {
    const Setting fail("FAKE_CUDA_FAIL", "cuInit=100");
    CHECK(says(message_of([] { CudaEventPool(1); }),
               "cuInit failed: CUDA_ERROR_NO_DEVICE (100): no CUDA-capable device is detected; see what nvidia-smi"));
    CHECK(says(cuda_problem(), "cuInit failed: CUDA_ERROR_NO_DEVICE (100)"));
    CHECK_THROWS(cuda_devices(), CudaError);
  }
  {
    const Setting fail("FAKE_CUDA_FAIL", "cuDevicePrimaryCtxRetain=2");
    CHECK(says(message_of([] { CudaEventPool(1); }), "cuDevicePrimaryCtxRetain failed: CUDA_ERROR_OUT_OF_MEMORY (2)"));
  }
  {
    const Setting fail("FAKE_CUDA_FAIL", "cuInit=12345");
    CHECK(says(message_of([] { CudaEventPool(1); }), "cuInit failed: an error without a name (12345): no text"));
  }
  CHECK(says(message_of([] { CudaEventPool(1, 0, 7); }), "cuDeviceGet failed: CUDA_ERROR_INVALID_DEVICE (101)"));
  CudaEventPool pool(1);
  pool.record(0, 0);
  pool.record(1, 0);
  {
    const Setting fail("FAKE_CUDA_FAIL", "cuEventQuery=719,cuEventElapsedTime=1");
    CHECK(says(message_of([&] { (void)pool.elapsed_ns(); }), "cuEventQuery failed: CUDA_ERROR_LAUNCH_FAILED (719)"));
    CHECK(says(message_of([&] { (void)pool.wait(kMs); }), "cuEventQuery failed"));
  }
  {
    const Setting fail("FAKE_CUDA_FAIL", "cuEventElapsedTime=1");
    CHECK(
        says(message_of([&] { (void)pool.elapsed_ns(); }), "cuEventElapsedTime failed: CUDA_ERROR_INVALID_VALUE (1)"));
  }
  {
    const Setting fail("FAKE_CUDA_FAIL", "cuCtxGetCurrent=201");
    CHECK(says(message_of([&] { pool.record(0, 0); }), "cuCtxGetCurrent failed: CUDA_ERROR_INVALID_CONTEXT (201)"));
  }
  CHECK_EQ(pool.elapsed_ns().size(), std::size_t{1});  // errors of one moment do not stick to the pool
}

static void events_that_were_made_are_freed_when_the_rest_cannot_be() {
  {
    const Setting fail("FAKE_CUDA_FAIL", "cuEventCreate=2@40");  // the first 39 of 100 are made
    CHECK(says(message_of([] { CudaEventPool(50); }), "cuEventCreate failed: CUDA_ERROR_OUT_OF_MEMORY (2): out of"));
  }
  CHECK_EQ(live_events(), 0);
  CHECK_EQ(references(0), 0);
}

static void late_completion_is_missing_until_it_is_waited_for() {
  set_clock(0);
  CudaEventPool pool(1);
  const Setting late("FAKE_CUDA_LATE_NS", "20000000");
  pool.record(0, 0);
  set_clock(3 * kMs);
  pool.record(1, 0);
  set_clock(22 * kMs);  // the first event is complete, the second is not
  CHECK_EQ(pool.elapsed_ns(0, 1), kMissingNs);
  CHECK(!pool.wait(kMs));
  std::thread device([] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    set_clock(23 * kMs);
  });
  CHECK(pool.wait(60'000 * kMs));
  device.join();
  CHECK_EQ(pool.elapsed_ns(0, 1), 3 * kMs);
  set_clock(-1);
}

static void threads_record_events_of_their_own_at_once() {
  CudaEventPool pool(64);
  std::vector<std::thread> threads;
  std::atomic<int> n_failed{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&pool, &n_failed, i] {
      try {
        for (std::int64_t pair = i * 16; pair < (i + 1) * 16; ++pair) {
          pool.record(2 * pair, 0);
          pool.record(2 * pair + 1, 0);
        }
      } catch (const CudaError&) {
        ++n_failed;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_EQ(n_failed.load(), 0);
  CHECK(pool.wait(10'000 * kMs));
  for (const std::int64_t elapsed_ns : pool.elapsed_ns()) CHECK(elapsed_ns >= 0);
}

static void arguments_out_of_range_are_refused() {
  CHECK_THROWS(CudaEventPool(0), std::invalid_argument);
  CHECK_THROWS(CudaEventPool(CudaEventPool::kMaxPairs + 1), std::invalid_argument);
  CHECK_THROWS(CudaEventPool(1, 0, -1), std::invalid_argument);
  CudaEventPool pool(1);
  CHECK_THROWS(pool.record(2, 0), std::out_of_range);
  CHECK_THROWS(pool.record(-1, 0), std::out_of_range);
  CHECK_THROWS(pool.elapsed_ns(0, 2), std::out_of_range);
}

static void devices_are_told_in_the_driver_s_order() {
  CHECK_EQ(cuda_problem(), "");
  CHECK_EQ(cuda_driver_version(), 12080);
  const std::vector<CudaDevice> devices = cuda_devices();
  CHECK_EQ(devices.size(), std::size_t{2});
  CHECK_EQ(devices[1].name, "Stand-in GPU 1");
  CHECK_EQ(devices[1].capability_major, 9);
  CHECK_EQ(devices[1].capability_minor, 0);
  CHECK_EQ(devices[1].uuid, "GPU-00000000-0000-0000-0000-000000000001");
  CHECK_EQ(devices[1].pci_bus_id, "0000:11:00.0");
}

int main() {
  ::setenv("TOKENCLOCK_LIBCUDA", FAKE_LIBCUDA, 1);
  ::setenv("FAKE_CUDA_DEVICES", "2", 1);
  ::unsetenv("CUDA_VISIBLE_DEVICES");
  a_library_that_is_not_there_or_is_another_is_told_in_one_line();
  devices_are_told_in_the_driver_s_order();
  a_pair_measures_the_work_between_its_events();
  a_thread_without_a_context_gets_the_primary_one_and_gives_it_back();
  a_current_context_is_used_and_a_stream_s_own_wins_over_it();
  events_that_were_made_are_freed_when_the_rest_cannot_be();
  errors_carry_call_name_number_and_text();
  late_completion_is_missing_until_it_is_waited_for();
  threads_record_events_of_their_own_at_once();
  arguments_out_of_range_are_refused();
}
