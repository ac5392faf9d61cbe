// A stand-in for NVIDIA's libcuda.so.1, for machines without a GPU: contexts, streams, events, devices. It refuses what
// the real one refuses (no cuInit, no current context, a stream of another context, a destroyed event) and models a
// stream as the instant until which it is busy. What a test sets:
//   FAKE_CUDA_DEVICES   number of devices (default 1); CUDA_VISIBLE_DEVICES then picks among them by number
//   FAKE_CUDA_FAIL      "cuEventRecord=719": this call fails with that code; "cuEventRecord=719@3": from its third time
//   on;
//                       several with commas
//   FAKE_CUDA_LATE_NS   an event completes this much later than its stream reached it
//   FAKE_CUDA_TICK_NS   device time runs by this much with each event recorded, instead of with the clock
// and calls: fake_cuda_set_clock_ns, fake_cuda_work, fake_cuda_live_events, fake_cuda_primary_references.
#include <dlfcn.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

using Code = int;
constexpr Code kSuccess = 0, kInvalidValue = 1, kNotInitialized = 3, kNoDevice = 100, kInvalidDevice = 101,
               kInvalidContext = 201, kInvalidHandle = 400, kNotFound = 500, kNotReady = 600;

struct Context {
  int device;
};
struct Stream {
  Context* context;
  std::int64_t t_free_ns = 0;
};
struct Event {
  Context* context;
  bool is_timed;
  std::int64_t t_ns = -1;  // device time at which its stream reaches it; -1: not recorded
};

struct World {
  std::mutex mutex;
  bool is_initialized = false;
  std::vector<int> visible;
  std::array<Context, 16> primary{};
  std::array<int, 16> references{};
  std::map<Context*, Stream> default_streams;
  std::map<Stream*, std::unique_ptr<Stream>> streams;
  std::map<Event*, std::unique_ptr<Event>> events;
  std::map<std::string, int> n_calls;
};
World& world() {
  static auto* const the_one = new World;  // never destroyed: pools may be freed at the very end of a process
  return *the_one;
}
std::atomic<std::int64_t> set_clock_ns{-1};
std::atomic<std::int64_t> n_ticks{0};
thread_local std::vector<Context*> current;

std::int64_t number_from(const char* name, std::int64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::atoll(text);
}

std::int64_t device_now_ns() {
  if (const std::int64_t set_ns = set_clock_ns; set_ns >= 0) return set_ns;
  if (const std::int64_t tick_ns = number_from("FAKE_CUDA_TICK_NS", 0); tick_ns > 0) return n_ticks * tick_ns;
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

// The code that FAKE_CUDA_FAIL wants from this call; 0: none. Calls are counted while it is set.
Code injected(const char* call) {
  const char* const given = std::getenv("FAKE_CUDA_FAIL");
  if (given == nullptr) return kSuccess;
  const int n = ++world().n_calls[call];
  const std::string list = std::string(",") + given;
  const std::string wanted = std::string(",") + call + "=";
  const auto at = list.find(wanted);
  if (at == std::string::npos) return kSuccess;
  const std::string rest = list.substr(at + wanted.size());
  const auto entry = rest.substr(0, rest.find(','));
  const auto from = entry.find('@');
  if (from != std::string::npos && n < std::atoi(entry.c_str() + from + 1)) return kSuccess;
  return std::atoi(entry.c_str());
}

Context* top() { return current.empty() ? nullptr : current.back(); }

// What every call but cuInit begins with.
Code enter(const char* call) {
  if (const Code code = injected(call); code != kSuccess) return code;
  return world().is_initialized ? kSuccess : kNotInitialized;
}

bool is_live(Context* context) {
  for (std::size_t i = 0; i < world().primary.size(); ++i) {
    if (&world().primary[i] == context) return world().references[i] > 0;
  }
  return false;
}

Stream* stream_of(Stream* handle) {
  const auto number = reinterpret_cast<std::uintptr_t>(handle);
  if (number <= 2) {
    Stream& found = world().default_streams[top()];
    found.context = top();
    return &found;
  }
  const auto found = world().streams.find(handle);
  return found == world().streams.end() ? nullptr : found->second.get();
}

struct Named {
  Code code;
  const char* name;
  const char* text;
};
constexpr std::array kErrors{
    Named{0, "CUDA_SUCCESS", "no error"},
    Named{1, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    Named{2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    Named{3, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    Named{100, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    Named{101, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    Named{201, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    Named{400, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    Named{500, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    Named{600, "CUDA_ERROR_NOT_READY", "device not ready"},
    Named{719, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
};

Code name_of(Code code, const char** text, bool is_name) {
  for (const Named& error : kErrors) {
    if (error.code == code) return *text = is_name ? error.name : error.text, kSuccess;
  }
  return *text = nullptr, kInvalidValue;
}

}  // namespace

#define ENTER(call)                          \
  const std::lock_guard lock(world().mutex); \
  if (const Code entered = enter(#call); entered != kSuccess) return entered

EXPORT Code cuInit(unsigned flags) {
  const std::lock_guard lock(world().mutex);
  if (const Code code = injected("cuInit"); code != kSuccess) return code;
  if (flags != 0) return kInvalidValue;
  if (world().is_initialized) return kSuccess;
  const auto n = static_cast<int>(number_from("FAKE_CUDA_DEVICES", 1));
  const char* const picked = std::getenv("CUDA_VISIBLE_DEVICES");
  for (int i = 0; picked == nullptr && i < n; ++i) world().visible.push_back(i);
  for (const char* at = picked; at != nullptr && *at >= '0' && *at <= '9';) {
    char* end = nullptr;
    const int device = static_cast<int>(std::strtol(at, &end, 10));
    if (device >= n) break;
    world().visible.push_back(device);
    at = *end == ',' ? end + 1 : end;
  }
  if (world().visible.empty()) return kNoDevice;
  for (std::size_t i = 0; i < world().primary.size(); ++i) world().primary[i].device = static_cast<int>(i);
  world().is_initialized = true;
  return kSuccess;
}

EXPORT Code cuDriverGetVersion(int* version) { return *version = 12080, kSuccess; }
EXPORT Code cuGetErrorName(Code code, const char** name) { return name_of(code, name, true); }
EXPORT Code cuGetErrorString(Code code, const char** text) { return name_of(code, text, false); }

EXPORT Code cuDeviceGetCount(int* count) {
  ENTER(cuDeviceGetCount);
  return *count = static_cast<int>(world().visible.size()), kSuccess;
}
EXPORT Code cuDeviceGet(int* device, int ordinal) {
  ENTER(cuDeviceGet);
  if (ordinal < 0 || ordinal >= static_cast<int>(world().visible.size())) return kInvalidDevice;
  return *device = ordinal, kSuccess;
}
EXPORT Code cuDeviceGetName(char* name, int size, int device) {
  ENTER(cuDeviceGetName);
  std::snprintf(name, static_cast<std::size_t>(size), "Stand-in GPU %d",
                world().visible.at(static_cast<std::size_t>(device)));
  return kSuccess;
}
EXPORT Code cuDeviceGetAttribute(int* value, int attribute, int device) {
  ENTER(cuDeviceGetAttribute);
  static_cast<void>(device);
  if (attribute != 75 && attribute != 76) return kInvalidValue;
  return *value = attribute == 75 ? 9 : 0, kSuccess;
}
// The bytes are those that the stand-in of NVML tells: 00000000-0000-0000-0000-0000000000NN.
EXPORT Code cuDeviceGetUuid_v2(unsigned char* uuid, int device) {
  ENTER(cuDeviceGetUuid);
  std::memset(uuid, 0, 16);
  uuid[15] = static_cast<unsigned char>(world().visible.at(static_cast<std::size_t>(device)));
  return kSuccess;
}
EXPORT Code cuDeviceGetPCIBusId(char* text, int size, int device) {
  ENTER(cuDeviceGetPCIBusId);
  std::snprintf(text, static_cast<std::size_t>(size), "0000:%02x:00.0",
                unsigned(world().visible.at(static_cast<std::size_t>(device))) + 0x10U);
  return kSuccess;
}

EXPORT Code cuDevicePrimaryCtxRetain(Context** context, int device) {
  ENTER(cuDevicePrimaryCtxRetain);
  const auto physical = static_cast<std::size_t>(world().visible.at(static_cast<std::size_t>(device)));
  ++world().references[physical];
  return *context = &world().primary[physical], kSuccess;
}
EXPORT Code cuDevicePrimaryCtxRelease_v2(int device) {
  ENTER(cuDevicePrimaryCtxRelease);
  const auto physical = static_cast<std::size_t>(world().visible.at(static_cast<std::size_t>(device)));
  if (world().references[physical] == 0) return kInvalidContext;
  --world().references[physical];
  return kSuccess;
}
EXPORT Code cuCtxGetCurrent(Context** context) {
  ENTER(cuCtxGetCurrent);
  return *context = top(), kSuccess;
}
EXPORT Code cuCtxSetCurrent(Context* context) {
  ENTER(cuCtxSetCurrent);
  if (!current.empty()) current.pop_back();
  if (context != nullptr) current.push_back(context);
  return kSuccess;
}
EXPORT Code cuCtxPushCurrent_v2(Context* context) {
  ENTER(cuCtxPushCurrent);
  if (!is_live(context)) return kInvalidContext;
  return current.push_back(context), kSuccess;
}
EXPORT Code cuCtxPopCurrent_v2(Context** context) {
  ENTER(cuCtxPopCurrent);
  if (current.empty()) return kInvalidContext;
  *context = top();
  return current.pop_back(), kSuccess;
}

EXPORT Code cuStreamCreate(Stream** stream, unsigned /*flags*/) {
  ENTER(cuStreamCreate);
  if (top() == nullptr) return kInvalidContext;
  auto made = std::make_unique<Stream>(Stream{top()});
  *stream = made.get();
  world().streams[*stream] = std::move(made);
  return kSuccess;
}
EXPORT Code cuStreamDestroy_v2(Stream* stream) {
  ENTER(cuStreamDestroy);
  return world().streams.erase(stream) == 1 ? kSuccess : kInvalidHandle;
}
EXPORT Code cuStreamGetCtx(Stream* stream, Context** context) {
  ENTER(cuStreamGetCtx);
  const Stream* const found = stream_of(stream);
  if (found == nullptr) return kInvalidHandle;
  return *context = found->context, kSuccess;
}

EXPORT Code cuEventCreate(Event** event, unsigned flags) {
  ENTER(cuEventCreate);
  if (top() == nullptr) return kInvalidContext;
  auto made = std::make_unique<Event>(Event{top(), (flags & 2U) == 0});
  *event = made.get();
  world().events[*event] = std::move(made);
  return kSuccess;
}
EXPORT Code cuEventDestroy_v2(Event* event) {
  ENTER(cuEventDestroy);
  return world().events.erase(event) == 1 ? kSuccess : kInvalidHandle;
}
EXPORT Code cuEventRecord(Event* event, Stream* handle) {
  ENTER(cuEventRecord);
  if (top() == nullptr) return kInvalidContext;
  Stream* const stream = stream_of(handle);
  if (stream == nullptr || world().events.count(event) == 0 || stream->context != event->context) return kInvalidHandle;
  ++n_ticks;
  const std::int64_t now_ns = device_now_ns();
  event->t_ns = stream->t_free_ns > now_ns ? stream->t_free_ns : now_ns;
  return kSuccess;
}
EXPORT Code cuEventQuery(Event* event) {
  ENTER(cuEventQuery);
  if (world().events.count(event) == 0) return kInvalidHandle;
  return event->t_ns + number_from("FAKE_CUDA_LATE_NS", 0) <= device_now_ns() ? kSuccess : kNotReady;
}
EXPORT Code cuEventSynchronize(Event* event) {
  Code code = kNotReady;
  while (code == kNotReady) code = cuEventQuery(event);
  return code;
}
EXPORT Code cuEventElapsedTime(float* elapsed_ms, Event* start, Event* stop) {
  for (Event* event : {start, stop}) {
    if (const Code code = cuEventQuery(event); code != kSuccess) return code;
  }
  ENTER(cuEventElapsedTime);
  if (!start->is_timed || !stop->is_timed || start->t_ns < 0 || stop->t_ns < 0) return kInvalidHandle;
  return *elapsed_ms = static_cast<float>(static_cast<double>(stop->t_ns - start->t_ns) / 1e6), kSuccess;
}

// How NVIDIA's Python bindings find the functions: without the suffix of their version.
EXPORT Code cuGetProcAddress_v2(const char* symbol, void** function, int /*version*/, std::uint64_t /*flags*/,
                                int* status) {
  Dl_info self{};
  dladdr(reinterpret_cast<void*>(&cuInit), &self);
  void* const library = dlopen(self.dli_fname, RTLD_NOW | RTLD_NOLOAD);
  *function = nullptr;
  for (const char* suffix : {"_v2", ""}) {
    if (*function == nullptr) *function = dlsym(library, (std::string(symbol) + suffix).c_str());
  }
  if (status != nullptr) *status = *function == nullptr ? 1 : 0;
  return *function == nullptr ? kNotFound : kSuccess;
}
EXPORT Code cuGetProcAddress(const char* symbol, void** function, int version, std::uint64_t flags) {
  return cuGetProcAddress_v2(symbol, function, version, flags, nullptr);
}

// --- what only tests call ---

// Device time stands at t_ns from now on; -1: it is the clock's.
EXPORT void fake_cuda_set_clock_ns(std::int64_t t_ns) { set_clock_ns = t_ns; }

// The stream is busy for n_ns more. In the calling thread's current context for a default stream.
EXPORT void fake_cuda_work(Stream* handle, std::int64_t n_ns) {
  const std::lock_guard lock(world().mutex);
  Stream* const stream = stream_of(handle);
  const std::int64_t now_ns = device_now_ns();
  stream->t_free_ns = (stream->t_free_ns > now_ns ? stream->t_free_ns : now_ns) + n_ns;
}

EXPORT std::int64_t fake_cuda_live_events() {
  const std::lock_guard lock(world().mutex);
  return static_cast<std::int64_t>(world().events.size());
}
EXPORT int fake_cuda_primary_references(int physical) {
  const std::lock_guard lock(world().mutex);
  return world().references.at(static_cast<std::size_t>(physical));
}
