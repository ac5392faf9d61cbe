#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstring>
#include <optional>

#include "bindings.h"
#include "tokenclock/load_client.h"

namespace tokenclock {

namespace py = pybind11;

namespace {

template <typename T>
std::vector<T> to_vector(const py::array_t<T, py::array::c_style>& array) {
  return std::vector<T>(array.data(), array.data() + array.size());
}

// A view of a column that keeps the client alive; read-only, since workers may still write behind it.
template <typename T>
py::array view(const ReservedArray<T>& column, std::size_t n, const py::object& owner) {
  py::array_t<T> array({n}, {sizeof(T)}, column.data(), owner);
  array.attr("setflags")(py::arg("write") = false);
  return array;
}

py::dict columns_of(const py::object& self) {
  const auto& columns = self.cast<const LoadClient&>().columns();
  const std::size_t n = columns.n_rows;
  py::dict out;
  out["status"] = view(columns.status, n, self);
  out["t_scheduled_ns"] = view(columns.t_scheduled_ns, n, self);
  out["t_connect_ns"] = view(columns.t_connect_ns, n, self);
  out["t_tls_ns"] = view(columns.t_tls_ns, n, self);
  out["t_sent_ns"] = view(columns.t_sent_ns, n, self);
  out["t_first_byte_ns"] = view(columns.t_first_byte_ns, n, self);
  out["t_first_token_ns"] = view(columns.t_first_token_ns, n, self);
  out["t_last_token_ns"] = view(columns.t_last_token_ns, n, self);
  out["t_done_ns"] = view(columns.t_done_ns, n, self);
  out["http_status"] = view(columns.http_status, n, self);
  out["bytes_received"] = view(columns.bytes_received, n, self);
  out["connection_id"] = view(columns.connection_id, n, self);
  out["worker"] = view(columns.worker, n, self);
  out["isl_server"] = view(columns.isl_server, n, self);
  out["osl_server"] = view(columns.osl_server, n, self);
  out["osl_events"] = view(columns.osl_events, n, self);
  out["cached_tokens"] = view(columns.cached_tokens, n, self);
  out["finish_reason"] = view(columns.finish_reason, n, self);
  out["resent"] = view(columns.resent, n, self);
  out["tokens_per_iteration"] = view(columns.tokens_per_iteration, n, self);
  return out;
}

py::dict tokens_of(const py::object& self) {
  const RaggedTokens* tokens = nullptr;
  auto& client = self.cast<LoadClient&>();
  {
    const py::gil_scoped_release unlocked;
    tokens = &client.tokens();
  }
  py::dict out;
  out["token_offsets"] =
      py::array_t<std::int64_t>({tokens->offsets.size()}, {sizeof(std::int64_t)}, tokens->offsets.data(), self);
  out["t_token_ns"] = view(tokens->t_token_ns, tokens->n_events, self);
  out["n_tokens"] = view(tokens->n_tokens, tokens->n_events, self);
  out["t_read_ns"] = view(tokens->t_read_ns, tokens->n_events, self);
  return out;
}

py::dict take_final(LoadClient& client) {
  LoadClient::Final final;
  {
    const py::gil_scoped_release unlocked;
    final = client.take_final();
  }
  const auto n = static_cast<py::ssize_t>(final.events.size());
  py::array_t<std::int64_t> t_token_ns(n);
  py::array_t<std::int64_t> t_read_ns(n);
  py::array_t<std::int32_t> row(n);
  py::array_t<std::int32_t> n_tokens(n);
  for (py::ssize_t i = 0; i < n; ++i) {
    const TokenEvent& event = final.events[static_cast<std::size_t>(i)];
    t_token_ns.mutable_at(i) = event.t_token_ns;
    t_read_ns.mutable_at(i) = event.t_read_ns;
    row.mutable_at(i) = event.row;
    n_tokens.mutable_at(i) = event.n_tokens;
  }
  py::dict out;
  out["event_row"] = row;
  out["t_token_ns"] = t_token_ns;
  out["n_tokens"] = n_tokens;
  out["t_read_ns"] = t_read_ns;
  out["rows"] = py::array_t<std::int32_t>(static_cast<py::ssize_t>(final.rows.size()), final.rows.data());
  return out;
}

py::dict facts_of(const LoadClient& client) {
  RecordingCounts sum;
  std::size_t n_events = 0;
  std::size_t n_lost = 0;
  std::int64_t n_connections = 0;
  std::int64_t n_resent = 0;
  std::int64_t n_seen_closed = 0;
  std::int32_t replies_per_connection = 0;
  std::int64_t n_clock_steps = 0;
  std::int64_t uncertainty_ns = 0;
  std::int64_t max_in_flight = 0;
  std::string tls;
  py::list workers;
  for (std::size_t i = 0; i < client.n_workers(); ++i) {
    const LoadWorker& worker = client.worker(i);
    const RecordingCounts& counts = worker.recording().counts;
    const WorkerFacts& facts = worker.facts();
    n_events += worker.recording().log.size();
    n_lost += worker.recording().log.n_lost();
    sum.n_events_kernel += counts.n_events_kernel;
    sum.n_events_coalesced += counts.n_events_coalesced;
    sum.n_first_tokens_coalesced += counts.n_first_tokens_coalesced;
    sum.n_events_stepped += counts.n_events_stepped;
    sum.n_count_usage += counts.n_count_usage;
    sum.n_count_ids += counts.n_count_ids;
    sum.n_count_one += counts.n_count_one;
    sum.n_unrecognised += counts.n_unrecognised;
    sum.n_unrecognised_dropped += counts.n_unrecognised_dropped;
    sum.n_texts_dropped += counts.n_texts_dropped;
    n_connections += facts.n_connections;
    n_resent += facts.n_resent;
    n_seen_closed += facts.n_seen_closed;
    replies_per_connection = std::max(replies_per_connection, facts.replies_per_connection);
    n_clock_steps = std::max(n_clock_steps, facts.n_clock_steps);
    uncertainty_ns = std::max(uncertainty_ns, facts.anchor_uncertainty_ns);
    max_in_flight += facts.max_in_flight;
    if (tls.empty()) tls = facts.tls;
    py::dict entry;
    entry["cpu_user_ns"] = facts.cpu_user_ns;
    entry["cpu_system_ns"] = facts.cpu_system_ns;
    entry["busy_ns"] = facts.busy_ns;
    entry["wall_ns"] = facts.wall_ns;
    entry["voluntary_switches"] = facts.voluntary_switches;
    entry["involuntary_switches"] = facts.involuntary_switches;
    entry["failure"] = facts.failure;
    workers.append(entry);
  }
  py::dict out;
  out["n_events"] = n_events;
  out["n_events_lost"] = n_lost;
  out["n_events_kernel"] = sum.n_events_kernel;
  out["n_events_coalesced"] = sum.n_events_coalesced;
  out["n_first_tokens_coalesced"] = sum.n_first_tokens_coalesced;
  out["n_events_stepped"] = sum.n_events_stepped;
  out["n_clock_steps"] = n_clock_steps;
  out["anchor_uncertainty_ns"] = uncertainty_ns;
  out["n_connections"] = n_connections;
  out["n_resent"] = n_resent;
  out["n_seen_closed"] = n_seen_closed;
  out["replies_per_connection"] = replies_per_connection;
  out["n_unrecognised"] = sum.n_unrecognised;
  out["n_unrecognised_dropped"] = sum.n_unrecognised_dropped;
  out["n_texts_dropped"] = sum.n_texts_dropped;
  out["n_count_usage"] = sum.n_count_usage;
  out["n_count_ids"] = sum.n_count_ids;
  out["n_count_one"] = sum.n_count_one;
  out["max_in_flight"] = max_in_flight;
  out["workers"] = workers;
  out["stamp_source"] = client.kernel_stamps() ? "kernel" : "user";
  out["transport"] = client.is_unix() ? "unix" : "tcp";
  out["tls"] = tls;
  return out;
}

py::dict errors_of(const LoadClient& client) {
  py::dict out;
  for (std::size_t i = 0; i < client.n_workers(); ++i) {
    for (const auto& [row, text] : client.worker(i).recording().errors()) {
      out[py::int_(row)] = py::reinterpret_steal<py::object>(
          PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace"));
    }
  }
  return out;
}

py::list raw_events_of(const LoadClient& client) {
  py::list out;
  for (std::size_t i = 0; i < client.n_workers(); ++i) {
    for (const RawEvent& event : client.worker(i).recording().raw_events())
      out.append(py::make_tuple(event.row, event.arrival.t_ns, event.arrival.t_read_ns, py::bytes(event.data)));
  }
  return out;
}

py::list strings(const std::vector<std::string>& texts) {
  py::list out(texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i)
    out[i] = py::reinterpret_steal<py::object>(
        PyUnicode_DecodeUTF8(texts[i].data(), static_cast<Py_ssize_t>(texts[i].size()), "replace"));
  return out;
}

py::list byte_strings(const std::vector<std::string>& texts) {
  py::list out(texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) out[i] = py::bytes(texts[i]);
  return out;
}

std::unique_ptr<LoadClient> make_client(const std::vector<std::pair<std::string, std::uint16_t>>& addresses,
                                        const py::bytes& request_head, std::size_t n_rows, bool stream,
                                        std::size_t max_concurrency, bool closed_loop, std::size_t n_workers,
                                        bool keep_alive, bool kernel_stamps, std::int64_t request_timeout_ns,
                                        std::int64_t no_progress_timeout_ns, std::int64_t connect_timeout_ns,
                                        std::size_t max_connecting, bool keep_text, std::size_t text_limit_bytes,
                                        bool keep_final_event, std::size_t event_capacity, std::vector<int> cpus,
                                        std::shared_ptr<TlsContext> tls, std::int64_t ramp_up_ns) {
  LoadOptions options;
  for (const auto& [ip, port] : addresses) options.addresses.push_back(parse_address(ip, port));
  options.request_head = request_head;
  options.reply = {stream, keep_text, keep_final_event};
  options.n_workers = n_workers;
  options.max_concurrency = max_concurrency;
  options.max_connecting = max_connecting;
  options.closed_loop = closed_loop;
  options.keep_alive = keep_alive;
  options.kernel_stamps = kernel_stamps;
  options.request_timeout_ns = request_timeout_ns;
  options.no_progress_timeout_ns = no_progress_timeout_ns;
  options.connect_timeout_ns = connect_timeout_ns;
  options.event_capacity = event_capacity;
  options.text_limit_bytes = text_limit_bytes;
  options.cpus = std::move(cpus);
  options.tls = std::move(tls);
  options.ramp_up_ns = ramp_up_ns;
  return std::make_unique<LoadClient>(std::move(options), n_rows);
}

}  // namespace

void bind_load_client(py::module_& module) {
  py::class_<LoadClient>(module, "LoadClient",
                         "Sends prepared requests on schedule over many connections, stamps every token event,\n"
                         "and hands back columns. Runs in threads of its own without the GIL.")
      .def(py::init(&make_client), py::kw_only(), py::arg("addresses"), py::arg("request_head"), py::arg("n_rows"),
           py::arg("stream") = true, py::arg("max_concurrency") = 0, py::arg("closed_loop") = false,
           py::arg("n_workers") = 1, py::arg("keep_alive") = true, py::arg("kernel_stamps") = true,
           py::arg("request_timeout_ns") = 0, py::arg("no_progress_timeout_ns") = 0,
           py::arg("connect_timeout_ns") = 30'000'000'000, py::arg("max_connecting") = 256,
           py::arg("keep_text") = false, py::arg("text_limit_bytes") = std::size_t{64} << 20,
           py::arg("keep_final_event") = false, py::arg("event_capacity") = 0, py::arg("cpus") = std::vector<int>{},
           py::arg("tls") = py::none(), py::arg("ramp_up_ns") = 0)
      .def(
          "submit",
          [](LoadClient& self, const py::bytes& arena, const py::array_t<std::int64_t, py::array::c_style>& offsets,
             const py::array_t<std::int64_t, py::array::c_style>& t_due_ns,
             const py::array_t<std::int32_t, py::array::c_style>& rows, const py::bytes& head_lines,
             const std::optional<py::array_t<std::int64_t, py::array::c_style>>& head_offsets) {
            self.submit(arena, to_vector(offsets), to_vector(t_due_ns), to_vector(rows), head_lines,
                        head_offsets ? to_vector(*head_offsets) : std::vector<std::int64_t>{});
          },
          py::arg("arena"), py::arg("offsets"), py::arg("t_due_ns"), py::arg("rows"),
          py::arg("head_lines") = py::bytes(), py::arg("head_offsets") = py::none(),
          "Hand over bodies: body i is arena[offsets[i]:offsets[i+1]], due t_due_ns[i] after the start, for rows[i].\n"
          "head_offsets, where given, cut head_lines likewise into header lines (each with CRLF) of that request.")
      .def("close", &LoadClient::close, "Say that no more requests will come.")
      .def("start", &LoadClient::start, py::arg("t_epoch_ns") = 0, py::call_guard<py::gil_scoped_release>(),
           "Start; returns the run's epoch, CLOCK_MONOTONIC ns. Given 0 it lies 2 ms ahead.")
      .def(
          "wait",
          [](LoadClient& self, double timeout_s) {
            const py::gil_scoped_release unlocked;
            return self.wait(static_cast<std::int64_t>(timeout_s * 1e9));
          },
          py::arg("timeout_s"), "True when the run has ended, False when timeout_s went by first.")
      .def("stop", &LoadClient::stop, py::call_guard<py::gil_scoped_release>(),
           "Cancel what is in flight and end the workers; finished requests are kept.")
      .def(
          "progress",
          [](const LoadClient& self) {
            const LoadClient::Progress progress = self.progress();
            py::dict out;
            out["n_sent"] = progress.n_sent;
            out["n_done"] = progress.n_done;
            out["n_failed"] = progress.n_failed;
            out["n_in_flight"] = progress.n_in_flight;
            out["n_events"] = progress.n_events;
            out["bytes_received"] = progress.bytes_received;
            return out;
          },
          "Counters so far; cheap, may be called while the run goes on.")
      .def("take_final", &take_final,
           "Token events (event_row, t_token_ns, n_tokens, t_read_ns; arrival order) and `rows` that ended, final "
           "since\n"
           "the last call. One caller at a time.")
      .def_property_readonly("pending_bytes", &LoadClient::pending_bytes, "Bytes of bodies not yet done with.")
      .def("columns", &columns_of, "Request columns by name, read-only views; instants in ns after the epoch.")
      .def("tokens", &tokens_of, "Ragged token columns: token_offsets, t_token_ns, n_tokens, t_read_ns. After the end.")
      .def("facts", &facts_of, "Counters of the whole run and the cost of each worker. After the end.")
      .def("errors", &errors_of, "Row -> what went wrong, the first 512 bytes. After the end.")
      .def("raw_events", &raw_events_of, "Events nobody understood: (row, t_token_ns, t_read_ns, data). After the end.")
      .def(
          "response_ids", [](const LoadClient& self) { return strings(self.texts().ids); },
          "The id each reply carried, '' where none. After the end.")
      .def(
          "reply_texts", [](const LoadClient& self) { return strings(self.texts().texts); },
          "Generated texts, reasoning included; empty list unless keep_text. After the end.")
      .def(
          "final_events", [](const LoadClient& self) { return byte_strings(self.texts().final_events); },
          "Raw JSON of the event that carried usage; empty list unless keep_final_event. After the end.");
}

}  // namespace tokenclock
