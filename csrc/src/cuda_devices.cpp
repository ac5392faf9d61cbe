#include "tokenclock/cuda_devices.h"

#include <array>
#include <cstdio>

#include "libcuda.h"
#include "tokenclock/cuda_events.h"

namespace tokenclock {

namespace {

void check(const cuda::Driver& driver, const char* call, cuda::Code code) {
  if (code != cuda::kSuccess) throw CudaError(cuda::describe(driver, call, code));
}

// 8-4-4-4-12 hexadecimal digits; the driver's own prefix (GPU or MIG) is not among the bytes.
std::string uuid_text(const cuda::Uuid& uuid) {
  std::string text;
  for (std::size_t i = 0; i < uuid.bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    std::array<char, 3> digits{};
    std::snprintf(digits.data(), digits.size(), "%02x", unsigned{uuid.bytes[i]});
    text += digits.data();
  }
  return text;
}

CudaDevice describe_device(const cuda::Driver& driver, int place) {
  const cuda::Functions& call = driver.functions;
  CudaDevice found{};
  cuda::Device device = 0;
  check(driver, "cuDeviceGet", call.cuDeviceGet(&device, place));
  std::array<char, 256> text{};
  constexpr int kTextBytes = static_cast<int>(text.size());
  check(driver, "cuDeviceGetName", call.cuDeviceGetName(text.data(), kTextBytes, device));
  found.name = text.data();
  check(driver, "cuDeviceGetAttribute",
        call.cuDeviceGetAttribute(&found.capability_major, cuda::kComputeCapabilityMajor, device));
  check(driver, "cuDeviceGetAttribute",
        call.cuDeviceGetAttribute(&found.capability_minor, cuda::kComputeCapabilityMinor, device));
  cuda::Uuid uuid{};
  check(driver, "cuDeviceGetUuid", call.cuDeviceGetUuid_v2(&uuid, device));
  // A slice of a GPU carries it in its name: "NVIDIA H100 80GB HBM3 MIG 1g.10gb".
  found.uuid = (found.name.find(" MIG ") == std::string::npos ? "GPU-" : "MIG-") + uuid_text(uuid);
  check(driver, "cuDeviceGetPCIBusId", call.cuDeviceGetPCIBusId(text.data(), kTextBytes, device));
  found.pci_bus_id = text.data();
  return found;
}

}  // namespace

std::vector<CudaDevice> cuda_devices() {
  if (const std::string problem = cuda_problem(); !problem.empty()) throw CudaError(problem);
  const cuda::Driver& driver = cuda::driver();
  int n_devices = 0;
  check(driver, "cuDeviceGetCount", driver.functions.cuDeviceGetCount(&n_devices));
  std::vector<CudaDevice> found;
  found.reserve(static_cast<std::size_t>(n_devices));
  for (int place = 0; place < n_devices; ++place) found.push_back(describe_device(driver, place));
  return found;
}

int cuda_driver_version() {
  const cuda::Driver& driver = cuda::driver();
  if (!driver.problem.empty()) throw CudaError(driver.problem);
  int version = 0;
  check(driver, "cuDriverGetVersion", driver.functions.cuDriverGetVersion(&version));
  return version;
}

}  // namespace tokenclock
