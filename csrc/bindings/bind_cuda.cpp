#include <pybind11/numpy.h>

#include <string>
#include <vector>

#include "arguments.h"
#include "bindings.h"
#include "initialised.h"
#include "tokenclock/cuda_devices.h"
#include "tokenclock/cuda_events.h"

template <>
class pybind11::detail::type_caster<tokenclock::CudaEventPool>
    : public tokenclock::InitialisedCaster<tokenclock::CudaEventPool> {};

namespace tokenclock {

namespace py = pybind11;

namespace {

py::array_t<std::int64_t> to_array(const std::vector<std::int64_t>& values) {
  return py::array_t<std::int64_t>(static_cast<py::ssize_t>(values.size()), values.data());
}

// Pair -> its start event, with the pool's own check of the bounds for what would overflow.
std::int64_t start_of(std::int64_t pair, const CudaEventPool& pool) {
  if (pair < 0 || pair >= pool.n_pairs()) {
    throw py::index_error("pair: expected 0 to " + std::to_string(pool.n_pairs() - 1) + ", got " +
                          std::to_string(pair));
  }
  return 2 * pair;
}

py::array_t<std::int64_t> gaps_ns(const CudaEventPool& pool, std::int64_t first, std::int64_t n) {
  if (n < 0 || n >= 2 * pool.n_pairs()) {
    throw py::value_error("n: expected 0 to " + std::to_string(2 * pool.n_pairs() - 1) + " gaps, got " +
                          std::to_string(n));
  }
  std::vector<std::int64_t> gaps;
  gaps.reserve(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) gaps.push_back(pool.elapsed_ns(first + i, first + i + 1));
  return to_array(gaps);
}

py::list devices() {
  py::list all;
  for (const CudaDevice& device : cuda_devices()) {
    py::dict facts;
    facts["name"] = device.name;
    facts["compute_cap"] = "sm" + std::to_string(device.capability_major) + std::to_string(device.capability_minor);
    facts["uuid"] = device.uuid;
    facts["pci_bus_id"] = device.pci_bus_id;
    all.append(facts);
  }
  return all;
}

// Mean cost of one of n records in a tight loop, over a pool of ordinary size.
double cuda_record_ns(std::int64_t n) {
  if (n < 1) throw py::value_error("n: expected 1 or more records, got " + std::to_string(n));
  constexpr std::int64_t kPairs = 512;
  CudaEventPool pool(kPairs);
  const std::int64_t t_start_ns = now_ns();
  for (std::int64_t i = 0; i < n; ++i) pool.record(i % (2 * kPairs), 0);
  return static_cast<double>(now_ns() - t_start_ns) / static_cast<double>(n);
}

}  // namespace

void bind_cuda(py::module_& module) {
  py::register_exception<CudaError>(module, "CudaError", PyExc_RuntimeError).attr("__doc__") =
      "A call of NVIDIA's driver failed: the call, the error's name, number and text, and what to do where known.";
  module.def("cuda_problem", &cuda_problem, py::call_guard<py::gil_scoped_release>(),
             "Why there is no device to time on, and what to do; empty when there is one. Starts the driver.");
  module.def(
      "cuda_devices", &devices,
      "The devices that CUDA_VISIBLE_DEVICES leaves, in CUDA's order: a list of dicts with name, compute_cap\n"
      "(\"sm90\"), uuid (\"GPU-...\" or \"MIG-...\") and pci_bus_id. Starts the driver, which reads that variable\n"
      "once for the life of the process. Raises CudaError where there is no driver or no device.");
  module.def("cuda_driver_version", &cuda_driver_version,
             "The CUDA version that the driver can run, 1000 major + 10 minor. Raises CudaError without a driver.");

  py::class_<CudaEventPool> pool(
      module, "CudaEventPool",
      "Pairs of CUDA events, made once and recorded on a stream that somebody else owns; read after the loop.\n\n"
      "Event numbers go from 0 to 2 n_pairs - 1; pair i is events 2 i and 2 i + 1. Recording queues an event behind\n"
      "what is on the stream and returns. It keeps the GIL, so that no other thread gets its turn inside a timed "
      "loop.");
  pool.attr("__module__") = "tokenclock._core";
  pool.def(py::init([](std::int64_t n_pairs, std::uintptr_t stream, int device) {
             const py::gil_scoped_release unlocked;  // a context may have to be made
             return std::make_unique<CudaEventPool>(n_pairs, stream, device);
           }),
           py::arg("n_pairs"), py::arg("stream") = 0, py::arg("device") = 0,
           "Make n_pairs pairs (1 to 1048576). They live in the context of `stream` (a handle as an int) where that\n"
           "is a stream somebody made, else in the calling thread's current context, else in the primary context of\n"
           "CUDA device `device`, which is kept alive as long as the pool. Raises CudaError, ValueError.")
      .def("record", &CudaEventPool::record, py::arg("event"), py::arg("stream"),
           "Record event number `event` on the stream (an int; 0: the legacy default stream). Raises CudaError,\n"
           "IndexError.")
      .def(
          "start",
          [](CudaEventPool& self, std::int64_t pair, std::uintptr_t stream) {
            self.record(start_of(pair, self), stream);
          },
          py::arg("pair"), py::arg("stream"), "Record the first event of a pair.")
      .def(
          "stop",
          [](CudaEventPool& self, std::int64_t pair, std::uintptr_t stream) {
            self.record(start_of(pair, self) + 1, stream);
          },
          py::arg("pair"), py::arg("stream"), "Record the second event of a pair.")
      .def(
          "elapsed_ns", [](const CudaEventPool& self) { return to_array(self.elapsed_ns()); },
          "Device time of each pair: int64 array (n_pairs,), ns; the smallest int64 where an event was not recorded\n"
          "or the device has not reached it. Never waits. Raises CudaError.")
      .def(
          "between_ns",
          [](const CudaEventPool& self, std::int64_t first, std::int64_t last) { return self.elapsed_ns(first, last); },
          py::arg("first"), py::arg("last"),
          "Device ns from event `first` to event `last`; the smallest int64 where missing. Raises CudaError, "
          "IndexError.")
      .def("gaps_ns", &gaps_ns, py::arg("first"), py::arg("n"),
           "Device time of n steps that share their marks: int64 array (n,), gap i from event first + i to the next\n"
           "one; the smallest int64 where missing. Raises CudaError, IndexError, ValueError.")
      .def(
          "wait",
          [](const CudaEventPool& self, double timeout_s) {
            if (!(timeout_s >= 0 && timeout_s <= 1e6)) {
              throw py::value_error("timeout_s: expected 0 to 1e6 seconds, got " + std::to_string(timeout_s));
            }
            const py::gil_scoped_release unlocked;
            return self.wait(static_cast<std::int64_t>(timeout_s * 1e9));
          },
          py::arg("timeout_s"),
          "Ask every 50 us until the device has reached everything recorded; False when it has not after timeout_s.\n"
          "For after the loop. Raises CudaError.")
      .def("clear", &CudaEventPool::clear, "Forget what was recorded.")
      .def_property_readonly("n_pairs", &CudaEventPool::n_pairs, "Number of pairs.")
      .def("__len__", &CudaEventPool::n_pairs)
      .def("__repr__", [](const CudaEventPool& self) {
        return "<tokenclock._core.CudaEventPool of " + std::to_string(self.n_pairs()) + " pairs>";
      });

  module.def_submodule("bench").def("cuda_record_ns", &cuda_record_ns, py::arg("n"),
                                    "Mean cost in ns of recording one event, over n records in a row.");
}

}  // namespace tokenclock
