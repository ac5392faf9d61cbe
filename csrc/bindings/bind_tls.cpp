#include <memory>

#include "bindings.h"
#include "tokenclock/tls.h"

namespace tokenclock {

namespace py = pybind11;

void bind_tls(py::module_& module) {
  py::class_<TlsContext, std::shared_ptr<TlsContext>> context(
      module, "TlsContext",
      "What all TLS connections of a client or a server share: certificates and what is checked. Raises ValueError\n"
      "with one line when there is no libssl, or a file cannot be used.");
  context.def_static(
      "client",
      [](const std::string& host, bool verify, const std::string& ca_file, const std::string& certificate,
         const std::string& key) {
        const py::gil_scoped_release unlocked;  // the system's store takes tens of milliseconds to read
        return std::const_pointer_cast<TlsContext>(TlsContext::client({host, verify, ca_file, certificate, key}));
      },
      py::kw_only(), py::arg("host"), py::arg("verify") = true, py::arg("ca_file") = "", py::arg("certificate") = "",
      py::arg("key") = "",
      "For connections to `host`, a name or a numeric address. Without ca_file the system's store is used; without\n"
      "key it is looked for beside the certificate. All files are PEM.");
  context.def_static(
      "server",
      [](const std::string& certificate, const std::string& key, const std::string& client_ca) {
        return std::const_pointer_cast<TlsContext>(TlsContext::server({certificate, key, client_ca}));
      },
      py::kw_only(), py::arg("certificate"), py::arg("key") = "", py::arg("client_ca") = "",
      "For a server; with client_ca every client must show a certificate of that authority.");
  context.attr("__module__") = "tokenclock";
  module.def("tls_problem", &tls_problem, "Why no libssl can be loaded, and what to install; empty when one can.");
}

}  // namespace tokenclock
