// One function per subject; module.cpp calls them all. Bindings hold names, defaults, the GIL and NumPy views; no
// policy.
#pragma once

#include <pybind11/pybind11.h>

namespace tokenclock {

void bind_build_info(pybind11::module_& module);
void bind_clock(pybind11::module_& module);
void bind_token_recorder(pybind11::module_& module);
void bind_hdr_histogram(pybind11::module_& module);
void bind_parsers(pybind11::module_& module);
void bind_tls(pybind11::module_& module);
void bind_cuda(pybind11::module_& module);
void bind_load_client(pybind11::module_& module);
void bind_paced_server(pybind11::module_& module);

}  // namespace tokenclock
