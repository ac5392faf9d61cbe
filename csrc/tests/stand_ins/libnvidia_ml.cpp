// A stand-in for NVIDIA's libnvidia-ml.so.1, for machines without a GPU; it serves NVIDIA's own Python package. What
// its GPUs say stands in the text file that FAKE_NVML_STATE names, read anew at every call, a fact a line:
//   gpus 2                                  number of GPUs (default 1)
//   used 0 1073741824                       quantity, GPU, value: used (bytes), power (mW), energy (mJ), sm and memory
//   (MHz),
//                                           utilization (%), temperature (C), reasons (bits), mig (1: on), slices
//                                           (number of MIG slices)
//   model 0 B200                            its name (default: Stand-in GPU)
//   process 0 1234 536870912                GPU, pid, bytes (-1: not told); several
//   fail nvmlDeviceGetPowerUsage 4          this call fails with that code; "fail CALL CODE GPU": on one GPU only
//   hang nvmlDeviceGetMemoryInfo_v2         this call never comes back
//   slow nvmlDeviceGetMemoryInfo_v2 2000    this call takes that many us
// MIG slice k of GPU g is GPU 100 (g + 1) + k in these lines.
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

using Code = int;
constexpr Code kSuccess = 0, kUninitialized = 1, kInvalidArgument = 2, kNotSupported = 3, kNotFound = 6,
               kInsufficientSize = 7, kVersionMismatch = 25;

bool is_initialized = false;

std::vector<std::vector<std::string>> state() {
  std::vector<std::vector<std::string>> lines;
  const char* const path = std::getenv("FAKE_NVML_STATE");
  if (path == nullptr) return lines;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::vector<std::string>& found = lines.emplace_back();
    for (std::string word; words >> word;) found.push_back(word);
    if (found.empty()) lines.pop_back();
  }
  return lines;
}

long long value(const std::string& quantity, unsigned gpu, long long otherwise) {
  for (const auto& line : state()) {
    if (line.size() == 3 && line[0] == quantity && std::stoul(line[1]) == gpu) return std::stoll(line[2]);
  }
  return otherwise;
}

unsigned n_gpus() {
  for (const auto& line : state()) {
    if (line.size() == 2 && line[0] == "gpus") return static_cast<unsigned>(std::stoul(line[1]));
  }
  return 1;
}

// A handle is the number of the GPU and one more.
unsigned number_of(const void* handle) { return static_cast<unsigned>(reinterpret_cast<std::uintptr_t>(handle)) - 1; }
void* handle_of(unsigned gpu) { return reinterpret_cast<void*>(std::uintptr_t{gpu} + 1); }
bool is_slice(unsigned gpu) { return gpu >= 100; }

constexpr unsigned kNoGpu = ~0U;

// What every call begins with: the failure, sleep or hang that the state asks for.
Code enter(const char* call, unsigned gpu = kNoGpu) {
  for (const auto& line : state()) {
    if (line.size() < 2 || line[1] != call) continue;
    if (line[0] == "hang") {
      for (;;) ::pause();
    }
    if (line[0] == "slow") ::usleep(static_cast<useconds_t>(std::stoul(line[2])));
    if (line[0] == "fail" && (line.size() == 3 || std::stoul(line[3]) == gpu)) return std::stoi(line[2]);
  }
  return is_initialized ? kSuccess : kUninitialized;
}

Code text(char* target, unsigned size, const std::string& content) {
  if (content.size() + 1 > size) return kInsufficientSize;
  std::memcpy(target, content.c_str(), content.size() + 1);
  return kSuccess;
}

struct Memory1 {
  unsigned long long total, free, used;
};
struct Memory2 {
  unsigned version;
  unsigned long long total, reserved, free, used;
};
struct Process {
  unsigned pid;
  unsigned long long used;
  unsigned gpu_instance, compute_instance;
};

}  // namespace

#define ENTER(...) \
  if (const Code entered = enter(__VA_ARGS__); entered != kSuccess) return entered

EXPORT Code nvmlInitWithFlags(unsigned /*flags*/) {
  is_initialized = true;
  if (const Code code = enter("nvmlInitWithFlags"); code != kSuccess) {
    is_initialized = false;
    return code;
  }
  return kSuccess;
}
EXPORT Code nvmlShutdown() { return kSuccess; }
EXPORT const char* nvmlErrorString(Code code) {
  switch (code) {
    case 3:
      return "Not Supported";
    case 4:
      return "Insufficient Permissions";
    case 9:
      return "Driver Not Loaded";
    case 15:
      return "GPU is lost";
    default:
      return "Unknown Error";
  }
}

EXPORT Code nvmlSystemGetDriverVersion(char* target, unsigned size) {
  ENTER("nvmlSystemGetDriverVersion");
  return text(target, size, "550.54.15");
}
EXPORT Code nvmlSystemGetCudaDriverVersion(int* version) {
  ENTER("nvmlSystemGetCudaDriverVersion");
  return *version = 12040, kSuccess;
}

EXPORT Code nvmlDeviceGetCount_v2(unsigned* count) {
  ENTER("nvmlDeviceGetCount_v2");
  return *count = n_gpus(), kSuccess;
}
EXPORT Code nvmlDeviceGetHandleByIndex_v2(unsigned index, void** handle) {
  ENTER("nvmlDeviceGetHandleByIndex_v2", index);
  if (index >= n_gpus()) return kInvalidArgument;
  return *handle = handle_of(index), kSuccess;
}
EXPORT Code nvmlDeviceGetUUID(void* handle, char* target, unsigned size) {
  const unsigned gpu = number_of(handle);
  ENTER("nvmlDeviceGetUUID", gpu);
  char uuid[64];
  std::snprintf(uuid, sizeof uuid, "%s-00000000-0000-0000-0000-%012x", is_slice(gpu) ? "MIG" : "GPU", gpu);
  return text(target, size, uuid);
}
EXPORT Code nvmlDeviceGetName(void* handle, char* target, unsigned size) {
  const unsigned gpu = number_of(handle);
  ENTER("nvmlDeviceGetName", gpu);
  for (const auto& line : state()) {
    if (line.size() == 3 && line[0] == "model" && std::stoul(line[1]) == gpu) return text(target, size, line[2]);
  }
  return text(target, size, "Stand-in GPU");
}
EXPORT Code nvmlDeviceGetCudaComputeCapability(void* handle, int* major, int* minor) {
  ENTER("nvmlDeviceGetCudaComputeCapability", number_of(handle));
  return *major = 9, *minor = 0, kSuccess;
}
EXPORT Code nvmlDeviceGetMigMode(void* handle, unsigned* now, unsigned* pending) {
  ENTER("nvmlDeviceGetMigMode", number_of(handle));
  const long long mode = value("mig", number_of(handle), -1);
  if (mode < 0) return kNotSupported;
  return *now = *pending = static_cast<unsigned>(mode), kSuccess;
}
EXPORT Code nvmlDeviceGetMaxMigDeviceCount(void* handle, unsigned* count) {
  ENTER("nvmlDeviceGetMaxMigDeviceCount", number_of(handle));
  return *count = 7, kSuccess;
}
EXPORT Code nvmlDeviceGetMigDeviceHandleByIndex(void* handle, unsigned index, void** slice) {
  const unsigned gpu = number_of(handle);
  ENTER("nvmlDeviceGetMigDeviceHandleByIndex", gpu);
  if (index >= static_cast<unsigned>(value("slices", gpu, 0))) return kNotFound;
  return *slice = handle_of(100 * (gpu + 1) + index), kSuccess;
}

EXPORT Code nvmlDeviceGetMemoryInfo(void* handle, Memory1* memory) {
  const unsigned gpu = number_of(handle);
  ENTER("nvmlDeviceGetMemoryInfo", gpu);
  const auto used = static_cast<unsigned long long>(value("used", gpu, 1LL << 30));
  *memory = {80ULL << 30, (80ULL << 30) - used, used};
  return kSuccess;
}
EXPORT Code nvmlDeviceGetMemoryInfo_v2(void* handle, Memory2* memory) {
  const unsigned gpu = number_of(handle);
  ENTER("nvmlDeviceGetMemoryInfo_v2", gpu);
  if (memory->version != 0x02000028) return kVersionMismatch;
  const auto used = static_cast<unsigned long long>(value("used", gpu, 1LL << 30));
  *memory = {memory->version, 80ULL << 30, 0, (80ULL << 30) - used, used};
  return kSuccess;
}

EXPORT Code nvmlDeviceGetComputeRunningProcesses_v3(void* handle, unsigned* count, Process* processes) {
  const unsigned gpu = number_of(handle);
  ENTER("nvmlDeviceGetComputeRunningProcesses_v3", gpu);
  std::vector<Process> found;
  for (const auto& line : state()) {
    if (line.size() == 4 && line[0] == "process" && std::stoul(line[1]) == gpu) {
      const auto pid = static_cast<unsigned>(std::stoul(line[2]));
      found.push_back({pid, static_cast<unsigned long long>(std::stoll(line[3])), ~0U, ~0U});
    }
  }
  const unsigned room = processes == nullptr ? 0 : *count;
  *count = static_cast<unsigned>(found.size());
  if (found.empty()) return kSuccess;
  if (room < found.size()) return kInsufficientSize;
  std::memcpy(processes, found.data(), found.size() * sizeof(Process));
  return kSuccess;
}

// Whole numbers of a GPU: name of the call, type, quantity, value unless told otherwise.
#define NUMBER(call, type, quantity, otherwise)                                \
  EXPORT Code call(void* handle, type* found) {                                \
    ENTER(#call, number_of(handle));                                           \
    if (is_slice(number_of(handle))) return kNotSupported;                     \
    *found = static_cast<type>(value(quantity, number_of(handle), otherwise)); \
    return kSuccess;                                                           \
  }
NUMBER(nvmlDeviceGetPowerUsage, unsigned, "power", 250000)
NUMBER(nvmlDeviceGetTotalEnergyConsumption, unsigned long long, "energy", 1000000)
NUMBER(nvmlDeviceGetEnforcedPowerLimit, unsigned, "limit", 700000)
NUMBER(nvmlDeviceGetCurrentClocksEventReasons, unsigned long long, "reasons", 0)
NUMBER(nvmlDeviceGetPersistenceMode, unsigned, "persistence", 1)

EXPORT Code nvmlDeviceGetUtilizationRates(void* handle, unsigned* shares) {
  const unsigned gpu = number_of(handle);
  ENTER("nvmlDeviceGetUtilizationRates", gpu);
  if (is_slice(gpu)) return kNotSupported;
  shares[0] = static_cast<unsigned>(value("utilization", gpu, 50));  // of the multiprocessors, of the memory
  return shares[1] = 20, kSuccess;
}
EXPORT Code nvmlDeviceGetClockInfo(void* handle, unsigned kind, unsigned* mhz) {
  const unsigned gpu = number_of(handle);
  ENTER("nvmlDeviceGetClockInfo", gpu);
  if (kind != 1 && kind != 2) return kInvalidArgument;
  return *mhz = static_cast<unsigned>(kind == 1 ? value("sm", gpu, 1700) : value("memory", gpu, 2600)), kSuccess;
}
EXPORT Code nvmlDeviceGetMaxClockInfo(void* handle, unsigned kind, unsigned* mhz) {
  ENTER("nvmlDeviceGetMaxClockInfo", number_of(handle));
  return *mhz = kind == 1 ? 1980 : 2619, kSuccess;
}
EXPORT Code nvmlDeviceGetTemperature(void* handle, unsigned sensor, unsigned* degrees) {
  ENTER("nvmlDeviceGetTemperature", number_of(handle));
  if (sensor != 0) return kInvalidArgument;
  return *degrees = static_cast<unsigned>(value("temperature", number_of(handle), 45)), kSuccess;
}
