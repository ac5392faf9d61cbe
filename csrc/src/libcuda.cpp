#include "libcuda.h"

#include <dlfcn.h>

#include <cstdlib>

namespace tokenclock::cuda {

namespace {

// The name of what is missing, or nothing.
std::string bind_all(void* handle, Functions& functions) {
  std::string missing;
#define TOKENCLOCK_BIND(name, parameters)                                              \
  functions.name = reinterpret_cast<decltype(functions.name)>(::dlsym(handle, #name)); \
  if (functions.name == nullptr && missing.empty()) missing = #name;
  TOKENCLOCK_LIBCUDA_FUNCTIONS(TOKENCLOCK_BIND)
#undef TOKENCLOCK_BIND
  return missing;
}

}  // namespace

Driver load_driver(const std::string& path) {
  Driver found;
  const std::string name = path.empty() ? "libcuda.so.1" : path;
  std::string reason;
  // Never closed: the driver keeps threads of its own.
  void* handle = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* text = ::dlerror();
    reason = text == nullptr ? "unknown error" : text;
  } else if (const std::string missing = bind_all(handle, found.functions); !missing.empty()) {
    reason = name + " has no " + missing;
  } else {
    return found;
  }
  found.functions = {};
  found.problem = path.empty() ? "no NVIDIA driver can be loaded (" + reason +
                                     "); install it, hand the GPUs to the container (docker run --gpus all), or name "
                                     "its file in TOKENCLOCK_LIBCUDA"
                               : "TOKENCLOCK_LIBCUDA=" + path + " cannot be loaded (" + reason +
                                     "); unset it, or name the file of the driver's libcuda.so.1";
  return found;
}

const Driver& driver() {
  static const Driver found = [] {
    const char* path = std::getenv("TOKENCLOCK_LIBCUDA");
    return load_driver(path == nullptr ? "" : path);
  }();
  return found;
}

std::string describe(const Driver& driver, const char* call, Code code) {
  const char* name = nullptr;
  const char* text = nullptr;
  if (driver.functions.cuGetErrorName(code, &name) != kSuccess || name == nullptr) name = "an error without a name";
  if (driver.functions.cuGetErrorString(code, &text) != kSuccess || text == nullptr) text = "no text";
  return std::string(call) + " failed: " + name + " (" + std::to_string(code) + "): " + text;
}

}  // namespace tokenclock::cuda
