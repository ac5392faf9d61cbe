#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <string>

#include "bindings.h"
#include "tokenclock/event_json.h"
#include "tokenclock/event_reader.h"
#include "tokenclock/http_parser.h"
#include "tokenclock/sse_parser.h"

namespace tokenclock {

namespace py = pybind11;

namespace {

using Step = HttpResponseParser::Step;

std::string_view view_of(py::handle piece) {
  if (!py::isinstance<py::bytes>(piece)) throw py::type_error("chunks must be a list of bytes");
  return py::reinterpret_borrow<py::bytes>(piece);  // the list keeps it alive
}

py::dict parse_http(const py::list& chunks, bool eof) {
  HttpResponseParser parser;
  std::string body;
  Step step = Step::need_more;
  std::size_t n_leftover = 0;
  for (const py::handle chunk : chunks) {
    std::string_view input = view_of(chunk);
    while (step != Step::complete && step != Step::error) {
      step = parser.next(input);
      if (step == Step::body) body += parser.body();
      if (step == Step::need_more) break;
    }
    if (step != Step::error) n_leftover += input.size();
  }
  if (eof && step == Step::need_more) step = parser.end_of_stream();
  py::dict out;
  out["status"] = parser.status();
  out["body"] = py::bytes(body);
  out["complete"] = step == Step::complete;
  out["keep_alive"] = parser.keep_alive();
  out["is_event_stream"] = parser.is_event_stream();
  out["started"] = parser.started();
  out["error"] = parser.error();
  out["n_leftover"] = n_leftover;
  return out;
}

py::list split_sse(const py::list& chunks) {
  SseParser parser;
  SseEvent event;
  py::list out;
  const auto add = [&] { out.append(py::make_tuple(py::bytes(event.type), py::bytes(event.data))); };
  for (const py::handle chunk : chunks) {
    std::string_view input = view_of(chunk);
    while (parser.next(input, event)) add();
  }
  if (parser.finish(event)) add();
  if (parser.too_large()) throw std::invalid_argument("an event may have 16 MiB at most, got a longer one");
  return out;
}

const char* name_of(EventKind kind) {
  switch (kind) {
    case EventKind::token:
      return "token";
    case EventKind::empty:
      return "empty";
    case EventKind::done:
      return "done";
    case EventKind::error:
      return "error";
    case EventKind::unrecognised:
      return "unrecognised";
  }
  return "";
}

py::dict as_dict(const EventMeaning& meaning) {
  py::dict out;
  out["kind"] = name_of(meaning.kind);
  out["has_text"] = meaning.has_text;
  out["has_reasoning"] = meaning.has_reasoning;
  out["has_tool_call"] = meaning.has_tool_call;
  out["finish_reason"] = static_cast<int>(meaning.finish_reason);
  out["n_token_ids"] = meaning.n_token_ids;
  out["prompt_tokens"] = meaning.prompt_tokens;
  out["completion_tokens"] = meaning.completion_tokens;
  out["cached_tokens"] = meaning.cached_tokens;
  out["avg_decoded_tokens_per_iter"] = meaning.avg_decoded_tokens_per_iter;
  out["id"] = py::bytes(meaning.id);
  out["text"] = py::bytes(meaning.text);
  out["reasoning"] = py::bytes(meaning.reasoning);
  out["error"] = py::bytes(meaning.error);
  return out;
}

py::dict read_event_as_dict(const py::bytes& data) { return as_dict(read_event(std::string_view(data))); }

py::list read_events_as_dicts(const py::list& events) {
  EventReader reader;
  py::list out;
  for (const py::handle event : events) out.append(as_dict(reader.read(view_of(event))));
  return out;
}

py::bytes unescape(const py::bytes& raw) {
  std::string out;
  append_unescaped(std::string_view(raw), out);
  return py::bytes(out);
}

// What one pass over a reply costs, as the load client does it: framing, splitting, and (unless told) the meaning.
std::size_t receive_once(std::string_view reply, std::size_t read_bytes, bool meaning, HttpResponseParser& http,
                         SseParser& sse) {
  http.reset();
  sse.reset();
  std::size_t n_events = 0;
  std::size_t n_tokens = 0;
  EventReader reader;
  std::size_t n = std::min(reply.find("\r\n\r\n"), reply.size() - 4) + 4;  // the header block comes alone
  for (std::size_t at = 0; at < reply.size(); at += n, n = read_bytes) {
    std::string_view input = reply.substr(at, n);
    for (;;) {
      const Step step = http.next(input);
      if (step == Step::error) throw std::invalid_argument(http.error());
      if (step == Step::need_more || step == Step::complete) break;
      if (step != Step::body) continue;
      std::string_view body = http.body();
      SseEvent event;
      while (sse.next(body, event)) {
        ++n_events;
        if (meaning) n_tokens += reader.read(event.data).kind == EventKind::token;
      }
    }
  }
  if (n_events == 0) throw std::invalid_argument("the reply must hold events, got none");
  if (meaning && n_tokens == 0) throw std::invalid_argument("the reply must hold token events, got none");
  return n_events;
}

double bench_receive(const py::bytes& reply, std::size_t n, std::size_t read_bytes, bool meaning) {
  if (n == 0 || read_bytes == 0) throw std::invalid_argument("n and read_bytes must be >= 1, got 0");
  const std::string_view view = reply;
  if (view.size() < 4) throw std::invalid_argument("the reply must hold events, got none");
  const py::gil_scoped_release no_gil;
  HttpResponseParser http;
  SseParser sse;
  std::size_t n_events = receive_once(view, read_bytes, meaning, http, sse);  // also warms the caches
  n_events = 0;
  const auto begin = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < n; ++i) n_events += receive_once(view, read_bytes, meaning, http, sse);
  const auto elapsed = std::chrono::steady_clock::now() - begin;
  return std::chrono::duration<double, std::nano>(elapsed).count() / static_cast<double>(n_events);
}

}  // namespace

void bind_parsers(py::module_& module) {
  module.def_submodule("parsers", "The receive path's parsers, one by one: for tests and benchmarks.")
      .def("parse_http", &parse_http, py::arg("chunks"), py::arg("eof") = true,
           "Reads one HTTP/1.x response that arrives in `chunks` (bytes each), after which the peer closes (`eof`).\n"
           "Returns a dict: `status` (0: none), `body`, `complete`, `keep_alive`, `is_event_stream`, `started`,\n"
           "`error` ('' when none), `n_leftover` (bytes that came after the end of the response).")
      .def("split_sse", &split_sse, py::arg("chunks"),
           "Splits server-sent events that arrive in `chunks` (bytes each). Returns a list of (type, data) in bytes.\n"
           "Raises ValueError when an event is longer than 16 MiB.")
      .def("read_event", &read_event_as_dict, py::arg("data"),
           "What one event, or one whole reply, means: a dict with the fields of `EventMeaning`. `kind` is\n"
           "'token', 'empty', 'done', 'error' or 'unrecognised'; counts are -1 when absent; `id`, `text` and\n"
           "`reasoning` are still escaped as in JSON.")
      .def("read_events", &read_events_as_dicts, py::arg("events"),
           "The same for each event (bytes) of one stream, by the reader that learns what the stream's events share.")
      .def("unescape", &unescape, py::arg("raw"),
           "The UTF-8 form of the inside of a JSON string; lone surrogates become U+FFFD.")
      .def("bench_receive", &bench_receive, py::arg("reply"), py::arg("n"), py::arg("read_bytes") = 65536,
           py::arg("meaning") = true,
           "Receives `reply` (a whole HTTP response of server-sent events) `n` times, without the GIL: its header\n"
           "block in one read, the rest in reads of `read_bytes`. `meaning=False` leaves the JSON unread.\n"
           "Returns ns per event. Raises ValueError when the reply is malformed or holds no token event.");
}

}  // namespace tokenclock
