// NVIDIA's driver library as it is found at run time: the functions used here, declared by hand, so that building needs
// no CUDA toolkit. Opaque types are our own; names and constants are the driver's. Only functions that every driver
// since CUDA 11 exports.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace tokenclock::cuda {

struct Context;
struct Event;
struct Stream;

using Code = int;    // CUresult
using Device = int;  // CUdevice
struct Uuid {
  std::array<unsigned char, 16> bytes;
};

// name, parameters; all return a Code
#define TOKENCLOCK_LIBCUDA_FUNCTIONS(X)            \
  X(cuInit, (unsigned))                            \
  X(cuDriverGetVersion, (int*))                    \
  X(cuGetErrorName, (Code, const char**))          \
  X(cuGetErrorString, (Code, const char**))        \
  X(cuDeviceGetCount, (int*))                      \
  X(cuDeviceGet, (Device*, int))                   \
  X(cuDeviceGetName, (char*, int, Device))         \
  X(cuDeviceGetAttribute, (int*, int, Device))     \
  X(cuDeviceGetUuid_v2, (Uuid*, Device))           \
  X(cuDeviceGetPCIBusId, (char*, int, Device))     \
  X(cuDevicePrimaryCtxRetain, (Context**, Device)) \
  X(cuDevicePrimaryCtxRelease_v2, (Device))        \
  X(cuCtxGetCurrent, (Context**))                  \
  X(cuCtxPushCurrent_v2, (Context*))               \
  X(cuCtxPopCurrent_v2, (Context**))               \
  X(cuStreamGetCtx, (Stream*, Context**))          \
  X(cuEventCreate, (Event**, unsigned))            \
  X(cuEventDestroy_v2, (Event*))                   \
  X(cuEventRecord, (Event*, Stream*))              \
  X(cuEventQuery, (Event*))                        \
  X(cuEventElapsedTime, (float*, Event*, Event*))

struct Functions {
#define TOKENCLOCK_DECLARE(name, parameters) Code(*name) parameters = nullptr;
  TOKENCLOCK_LIBCUDA_FUNCTIONS(TOKENCLOCK_DECLARE)
#undef TOKENCLOCK_DECLARE
};

struct Driver {
  Functions functions;
  std::string problem;  // why there is none, and what to do; empty when it was loaded
};

// Loads it at the first call, for the life of the process. Any thread. Loading starts nothing on a device.
const Driver& driver();
// The same without a memory, from the file `path` (empty: libcuda.so.1).
Driver load_driver(const std::string& path);

// "cuEventRecord failed: CUDA_ERROR_INVALID_HANDLE (400): invalid resource handle"
std::string describe(const Driver& driver, const char* call, Code code);

inline constexpr Code kSuccess = 0;
inline constexpr Code kNoDevice = 100;
inline constexpr Code kNotReady = 600;
inline constexpr int kComputeCapabilityMajor = 75;
inline constexpr int kComputeCapabilityMinor = 76;

}  // namespace tokenclock::cuda
