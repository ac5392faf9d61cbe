#include "libssl.h"

#include <dlfcn.h>

#include <array>
#include <cstdlib>
#include <vector>

namespace tokenclock::ssl {

namespace {

#if defined(__APPLE__)
constexpr std::array kNames{"libssl.3.dylib", "/opt/homebrew/opt/openssl@3/lib/libssl.3.dylib",
                            "/usr/local/opt/openssl@3/lib/libssl.3.dylib", "libssl.1.1.dylib"};
#else
constexpr std::array kNames{"libssl.so.3", "libssl.so.1.1"};
#endif

// Its dependency libcrypto is searched as well. The name of what is missing, or nothing.
std::string bind_all(void* handle, Functions& functions) {
  std::string missing;
#define TOKENCLOCK_BIND(result, name, parameters)                                      \
  functions.name = reinterpret_cast<decltype(functions.name)>(::dlsym(handle, #name)); \
  if (functions.name == nullptr && missing.empty()) missing = #name;
  TOKENCLOCK_LIBSSL_FUNCTIONS(TOKENCLOCK_BIND)
#undef TOKENCLOCK_BIND
  return missing;
}

std::string last_error() {
  const char* text = ::dlerror();
  return text == nullptr ? "unknown error" : text;
}

}  // namespace

Library load_library(const std::string& path) {
  Library found;
  std::vector<const char*> names(kNames.begin(), kNames.end());
  if (!path.empty()) names.assign(1, path.c_str());
  std::string reason;
  for (const char* name : names) {
    void* handle = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
      if (reason.empty()) reason = last_error();
      continue;
    }
    const std::string missing = bind_all(handle, found.functions);
    if (missing.empty()) {
      found.version = found.functions.OpenSSL_version(0);
      return found;
    }
    reason = std::string(name) + " has no " + missing;
    ::dlclose(handle);
  }
  found.functions = {};
  found.problem = path.empty() ? "no libssl of OpenSSL 3 or 1.1 can be loaded (" + reason +
                                     "); install it: apt install libssl3, dnf install openssl-libs or conda install "
                                     "openssl; or name its file in TOKENCLOCK_LIBSSL"
                               : "TOKENCLOCK_LIBSSL=" + path + " cannot be loaded (" + reason +
                                     "); unset it, or name the file of OpenSSL's libssl.so.3";
  return found;
}

const Library& library() {
  static const Library found = [] {
    const char* path = std::getenv("TOKENCLOCK_LIBSSL");
    return load_library(path == nullptr ? "" : path);
  }();
  return found;
}

}  // namespace tokenclock::ssl
