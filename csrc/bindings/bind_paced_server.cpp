#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <memory>
#include <string>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings.h"
#include "tokenclock/paced_server.h"

namespace tokenclock {

namespace py = pybind11;

namespace {

using Fault = std::tuple<std::string, std::int32_t, double>;

template <typename Enum>
Enum by_name(const char* what, const std::string& name, const std::vector<std::pair<const char*, Enum>>& names) {
  std::string known;
  for (const auto& [candidate, value] : names) {
    if (name == candidate) return value;
    known += (known.empty() ? "" : ", ") + std::string(candidate);
  }
  throw py::value_error(std::string(what) + " must be one of " + known + ", got " + name);
}

DurationDraw draw(const std::string& distribution, std::int64_t mean_ns, std::int64_t std_ns) {
  return {by_name<DrawShape>(
              "distribution", distribution,
              {{"constant", DrawShape::constant}, {"normal", DrawShape::normal}, {"lognormal", DrawShape::lognormal}}),
          mean_ns, std_ns};
}

std::unique_ptr<PacedServer> make_server(
    const std::string& host, std::uint16_t port, const std::string& mode, std::int64_t ttft_ns,
    std::int64_t ttft_std_ns, const std::string& ttft_distribution, std::int64_t itl_ns, std::int64_t itl_std_ns,
    const std::string& itl_distribution, std::uint64_t seed, std::int32_t tokens_per_event,
    std::int32_t events_per_send, std::int32_t default_output_tokens, std::int32_t vocab_size,
    std::vector<std::string> served_models, std::string api_key, bool report_iterations,
    const std::vector<Fault>& faults, std::int64_t spin_ns, std::int64_t max_requests, std::int64_t max_sends,
    std::string unix_socket, std::shared_ptr<TlsContext> tls, double output_share, double cached_share) {
  PacedOptions options;
  options.host = host;
  options.port = port;
  options.mode = by_name<PacedMode>(
      "mode", mode,
      {{"batch", PacedMode::batch}, {"independent", PacedMode::independent}, {"flood", PacedMode::flood}});
  options.ttft = draw(ttft_distribution, ttft_ns, ttft_std_ns);
  options.itl = draw(itl_distribution, itl_ns, itl_std_ns);
  options.seed = seed;
  options.tokens_per_event = tokens_per_event;
  options.events_per_send = events_per_send;
  options.default_output_tokens = default_output_tokens;
  options.vocab_size = vocab_size;
  options.served_models = std::move(served_models);
  options.api_key = std::move(api_key);
  options.report_iterations = report_iterations;
  options.output_share = output_share;
  options.cached_share = cached_share;
  for (const auto& [kind, argument, share] : faults) {
    options.faults.push_back({by_name<FaultKind>("fault", kind,
                                                 {{"status", FaultKind::status},
                                                  {"cut", FaultKind::cut},
                                                  {"stall", FaultKind::stall},
                                                  {"error-event", FaultKind::error_event},
                                                  {"garbage", FaultKind::garbage},
                                                  {"comments", FaultKind::comments},
                                                  {"close-idle", FaultKind::close_idle}}),
                              argument, share});
  }
  options.spin_ns = spin_ns;
  options.max_requests = max_requests;
  options.max_sends = max_sends;
  options.unix_socket = std::move(unix_socket);
  options.tls = std::move(tls);
  try {
    return std::make_unique<PacedServer>(options);
  } catch (const std::system_error& error) {
    PyErr_SetObject(PyExc_OSError, py::make_tuple(error.code().value(), error.what()).ptr());
    throw py::error_already_set();
  }
}

// The array takes the vector over: no copy.
template <typename T>
py::array_t<T> to_array(std::vector<T>&& column) {
  auto owned = std::make_unique<std::vector<T>>(std::move(column));
  const py::capsule owner(owned.get(), [](void* vector) { delete static_cast<std::vector<T>*>(vector); });
  const std::vector<T>& kept = *owned.release();
  return py::array_t<T>(static_cast<py::ssize_t>(kept.size()), kept.data(), owner);
}

py::dict truth_of(const PacedServer& server) {
  PacedTruthColumns columns;
  {
    const py::gil_scoped_release release;
    columns = server.truth();
  }
  py::dict truth;
  truth["t_arrival_ns"] = to_array(std::move(columns.t_arrival_ns));
  truth["arrival_kernel"] = to_array(std::move(columns.arrival_kernel));
  truth["t_read_ns"] = to_array(std::move(columns.t_read_ns));
  truth["t_done_ns"] = to_array(std::move(columns.t_done_ns));
  truth["t_first_on_wire_ns"] = to_array(std::move(columns.t_first_on_wire_ns));
  truth["prompt_tokens"] = to_array(std::move(columns.prompt_tokens));
  truth["max_tokens"] = to_array(std::move(columns.max_tokens));
  truth["status"] = to_array(std::move(columns.status));
  truth["fault"] = to_array(std::move(columns.fault));
  truth["send_offsets"] = to_array(std::move(columns.send_offsets));
  truth["t_send_ns"] = to_array(std::move(columns.t_send_ns));
  truth["t_due_ns"] = to_array(std::move(columns.t_due_ns));
  truth["n_tokens"] = to_array(std::move(columns.n_tokens));
  truth["n_events"] = to_array(std::move(columns.n_events));
  truth["n_requests_lost"] = columns.n_requests_lost;
  truth["n_sends_lost"] = columns.n_sends_lost;
  return truth;
}

py::dict figures_of(const PacedServer& server) {
  const PacedServer::Figures figures = server.figures();
  py::dict dict;
  dict["n_requests"] = figures.n_requests;
  dict["n_prompt_tokens"] = figures.n_prompt_tokens;
  dict["n_tokens"] = figures.n_tokens;
  dict["n_in_flight"] = figures.n_in_flight;
  dict["n_clock_steps"] = figures.n_clock_steps;
  dict["cpu_ns"] = figures.cpu_ns;
  dict["spun_ns"] = figures.spun_ns;
  return dict;
}

}  // namespace

void bind_paced_server(py::module_& module) {
  const PacedOptions defaults;
  py::class_<PacedServer> server(
      module, "NativePacedServer",
      "The paced server in this process; `tokenclock.PacedServer` runs it in one of its own.\n"
      "Listens at once and answers from start() on. Raises OSError when the address cannot be\n"
      "had, ValueError for options that make no sense.");
  server.def(py::init(&make_server), py::kw_only(), py::arg("host") = defaults.host, py::arg("port") = defaults.port,
             py::arg("mode") = "batch", py::arg("ttft_ns") = defaults.ttft.mean_ns, py::arg("ttft_std_ns") = 0,
             py::arg("ttft_distribution") = "constant", py::arg("itl_ns") = defaults.itl.mean_ns,
             py::arg("itl_std_ns") = 0, py::arg("itl_distribution") = "constant", py::arg("seed") = defaults.seed,
             py::arg("tokens_per_event") = defaults.tokens_per_event,
             py::arg("events_per_send") = defaults.events_per_send,
             py::arg("default_output_tokens") = defaults.default_output_tokens,
             py::arg("vocab_size") = defaults.vocab_size, py::arg("served_models") = std::vector<std::string>(),
             py::arg("api_key") = "", py::arg("report_iterations") = false, py::arg("faults") = std::vector<Fault>(),
             py::arg("spin_ns") = defaults.spin_ns, py::arg("max_requests") = defaults.max_requests,
             py::arg("max_sends") = defaults.max_sends, py::arg("unix_socket") = "", py::arg("tls") = py::none(),
             py::arg("output_share") = defaults.output_share, py::arg("cached_share") = defaults.cached_share);
  server.def_property_readonly("port", &PacedServer::port, "The port it listens on; 0 for a Unix socket.");
  server.def_property_readonly("is_running", &PacedServer::is_running, "Whether its thread serves.");
  server.def("start", &PacedServer::start, "Start to answer, in a native thread. Once.");
  server.def("stop", &PacedServer::stop, py::call_guard<py::gil_scoped_release>(),
             "Close every connection and join the thread; may be called again.");
  server.def(
      "truth", &truth_of,
      "Arrivals and sends so far, as a dict of arrays; instants are absolute CLOCK_MONOTONIC ns. Request k owns\n"
      "the sends send_offsets[k]:send_offsets[k + 1].");
  server.def("figures", &figures_of,
             "Counters: requests, tokens, in flight, wall-clock steps, CPU and spin time (ns).");
  server.attr("__module__") = "tokenclock";
}

}  // namespace tokenclock
