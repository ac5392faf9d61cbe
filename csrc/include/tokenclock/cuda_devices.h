// The GPUs that this process may use, as the driver numbers them.
#pragma once

#include <string>
#include <vector>

namespace tokenclock {

struct CudaDevice {
  std::string name;        // "NVIDIA H100 80GB HBM3"
  int capability_major;    // 9 of sm90
  int capability_minor;    // 0 of sm90
  std::string uuid;        // "GPU-...", or "MIG-..." for a slice of one
  std::string pci_bus_id;  // "0000:17:00.0"
};

// In the order that CUDA_VISIBLE_DEVICES and CUDA_DEVICE_ORDER give them: place i is CUDA device i. Starts the driver,
// which reads both variables once for the life of the process. Throws CudaError where there is no driver or no device.
[[nodiscard]] std::vector<CudaDevice> cuda_devices();

// The CUDA version that the driver can run, 1000 major + 10 minor: 12040 is 12.4. Throws CudaError without a driver.
[[nodiscard]] int cuda_driver_version();

}  // namespace tokenclock
