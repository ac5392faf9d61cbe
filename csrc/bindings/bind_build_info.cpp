#include "bindings.h"
#include "tokenclock/tls.h"

namespace tokenclock {

namespace py = pybind11;

void bind_build_info(py::module_& module) {
  module.attr("__version__") = TOKENCLOCK_VERSION;
  module.def(
      "build_info",
      [] {
        py::dict info;
        info["version"] = TOKENCLOCK_VERSION;
#if defined(__clang__)
        info["compiler"] = "clang " __clang_version__;
#else
        info["compiler"] = "g++ " __VERSION__;
#endif
        info["cxx_standard"] = static_cast<long>(__cplusplus);
#if defined(__linux__)
        info["kernel_stamps"] = true;
#else
        info["kernel_stamps"] = false;
#endif
        info["tls"] = tls_problem().empty();
        info["tls_library"] = tls_library();
        return info;
      },
      "What this module was built from: `version`, `compiler`, `cxx_standard`, and the features it has\n"
      "(`kernel_stamps`: the platform can stamp received segments; `tls`: a libssl can be loaded here, and\n"
      "`tls_library` says which).");
}

}  // namespace tokenclock
