// The recorder is an ordinary pybind11 class. Its rows are not: a pybind11 call costs several times what a stamp does,
// so TokenRow is a type written by hand against the C API of Python, with nothing between the call and the stamp.
#include <pybind11/numpy.h>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "bindings.h"
#include "initialised.h"
#include "tokenclock/token_recorder.h"

template <>
class pybind11::detail::type_caster<tokenclock::TokenRecorder>
    : public tokenclock::InitialisedCaster<tokenclock::TokenRecorder> {};

namespace tokenclock {

namespace py = pybind11;

namespace {

// The object behind tokenclock.TokenRow. `recorder` owns what `row` points to. Neither ever changes, so there is no
// tp_clear: a reference cycle through a row also passes through something that can be cleared.
struct RowObject {
  PyObject_HEAD PyObject* recorder;
  TokenRow* row;
  std::int64_t index;
  std::int64_t capacity;
};

RowObject* as_row(PyObject* self) { return reinterpret_cast<RowObject*>(self); }

PyObject* refuse_stamp(const RowObject* self) {
  if (self->row->is_finished()) {
    return PyErr_Format(PyExc_RuntimeError,
                        "row %lld is finished: nothing can be stamped after finish(); use another row",
                        static_cast<long long>(self->index));
  }
  return PyErr_Format(PyExc_OverflowError,
                      "row %lld is full: it holds max_tokens_per_row=%lld events and lost %lld; make the TokenRecorder "
                      "with a larger max_tokens_per_row",
                      static_cast<long long>(self->index), static_cast<long long>(self->capacity),
                      static_cast<long long>(self->row->n_lost()));
}

PyObject* row_stamp(PyObject* self, PyObject* /*no arguments*/) {
  if (!as_row(self)->row->stamp()) [[unlikely]]
    return refuse_stamp(as_row(self));
  Py_RETURN_NONE;
}

PyObject* row_stamp_n(PyObject* self, PyObject* argument) {
  int overflow = 0;
  const long long n_tokens = PyLong_AsLongLongAndOverflow(argument, &overflow);
  if (n_tokens == -1 && overflow == 0 && PyErr_Occurred() != nullptr) return nullptr;  // TypeError: not an integer
  if (overflow != 0 || n_tokens < 1 || n_tokens > std::numeric_limits<std::int32_t>::max()) {
    return PyErr_Format(PyExc_ValueError, "stamp_n: expected a number of tokens from 1 to 2147483647, got %R",
                        argument);
  }
  if (!as_row(self)->row->stamp_n(static_cast<std::int32_t>(n_tokens))) [[unlikely]]
    return refuse_stamp(as_row(self));
  Py_RETURN_NONE;
}

PyObject* row_finish(PyObject* self, PyObject* /*no arguments*/) {
  if (!as_row(self)->row->finish()) {
    return PyErr_Format(PyExc_RuntimeError, "row %lld is finished already; call finish() once per row",
                        static_cast<long long>(as_row(self)->index));
  }
  Py_RETURN_NONE;
}

// A read-only array over the row's own memory. Its base is the row, which holds the recorder, which holds the memory.
template <typename T>
PyObject* view_of(PyObject* self, std::span<const T> values) {
  try {
    py::array_t<T> view(static_cast<py::ssize_t>(values.size()), values.data(), py::handle(self));
    view.attr("flags").attr("writeable") = false;
    return view.release().ptr();
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

PyObject* row_t_token_ns(PyObject* self, void* /*closure*/) { return view_of(self, as_row(self)->row->t_token_ns()); }
PyObject* row_n_tokens(PyObject* self, void* /*closure*/) { return view_of(self, as_row(self)->row->n_tokens()); }
PyObject* row_n_events(PyObject* self, void* /*closure*/) { return PyLong_FromLongLong(as_row(self)->row->n_events()); }
PyObject* row_n_lost(PyObject* self, void* /*closure*/) { return PyLong_FromLongLong(as_row(self)->row->n_lost()); }
PyObject* row_index(PyObject* self, void* /*closure*/) { return PyLong_FromLongLong(as_row(self)->index); }
PyObject* row_recorder(PyObject* self, void* /*closure*/) { return Py_NewRef(as_row(self)->recorder); }

PyObject* row_t_done_ns(PyObject* self, void* /*closure*/) {
  if (!as_row(self)->row->is_finished()) Py_RETURN_NONE;
  return PyLong_FromLongLong(as_row(self)->row->t_done_ns());
}

PyObject* row_repr(PyObject* self) {
  return PyUnicode_FromFormat("<tokenclock.TokenRow %lld: %lld events%s>", static_cast<long long>(as_row(self)->index),
                              static_cast<long long>(as_row(self)->row->n_events()),
                              as_row(self)->row->is_finished() ? ", finished" : "");
}

int row_traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));  // an object of a heap type owns a reference to its type
  Py_VISIT(as_row(self)->recorder);
  return 0;
}

void row_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  Py_CLEAR(as_row(self)->recorder);
  type->tp_free(self);
  Py_DECREF(type);
}

PyMethodDef row_methods[] = {
    {"stamp", row_stamp, METH_NOARGS,
     "stamp($self, /)\n--\n\n"
     "Record one token, now. Raises OverflowError when the row is full, RuntimeError when it is finished; either way\n"
     "`n_lost` counts the event."},
    {"stamp_n", row_stamp_n, METH_O,
     "stamp_n($self, n_tokens, /)\n--\n\n"
     "Record one event that brought n_tokens (1 or more) tokens at once, now. Raises as stamp() does."},
    {"finish", row_finish, METH_NOARGS,
     "finish($self, /)\n--\n\n"
     "Record that the request is over, now, and close the row. Raises RuntimeError the second time."},
    {nullptr, nullptr, 0, nullptr}};

PyGetSetDef row_getset[] = {
    {"t_token_ns", row_t_token_ns, nullptr,
     "When each event so far was stamped: read-only int64 array in ns of now_ns(), a view without a copy.", nullptr},
    {"n_tokens", row_n_tokens, nullptr,
     "How many tokens each event so far brought: read-only int32 array, a view without a copy.", nullptr},
    {"t_done_ns", row_t_done_ns, nullptr, "When finish() was called, in ns of now_ns(); None before that.", nullptr},
    {"n_events", row_n_events, nullptr, "Number of events so far.", nullptr},
    {"n_lost", row_n_lost, nullptr, "Number of events refused because the row was full or finished.", nullptr},
    {"index", row_index, nullptr, "The row's number in its recorder.", nullptr},
    {"recorder", row_recorder, nullptr, "The TokenRecorder this row belongs to; kept alive by the row.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

constexpr const char* kRowDoc =
    "One request's stamps; made by TokenRecorder.row(). One thread at a time writes a row, any thread may read it.\n\n"
    "Keep the row in a variable and call stamp() as each token comes: the call allocates nothing.";

PyType_Slot row_slots[] = {{Py_tp_doc, const_cast<char*>(kRowDoc)},
                           {Py_tp_methods, row_methods},
                           {Py_tp_getset, row_getset},
                           {Py_tp_repr, reinterpret_cast<void*>(row_repr)},
                           {Py_tp_traverse, reinterpret_cast<void*>(row_traverse)},
                           {Py_tp_dealloc, reinterpret_cast<void*>(row_dealloc)},
                           {0, nullptr}};

PyType_Spec row_spec = {
    "tokenclock.TokenRow", sizeof(RowObject), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE, row_slots};

py::object make_row(PyTypeObject* type, py::handle recorder, std::int64_t index) {
  auto& native = recorder.cast<TokenRecorder&>();
  TokenRow& row = native.row(index);
  PyObject* self = type->tp_alloc(type, 0);
  if (self == nullptr) throw py::error_already_set();
  as_row(self)->recorder = Py_NewRef(recorder.ptr());
  as_row(self)->row = &row;
  as_row(self)->index = index;
  as_row(self)->capacity = native.max_tokens_per_row();
  return py::reinterpret_steal<py::object>(self);
}

// Hands a vector to NumPy without a copy.
template <typename T>
py::array_t<T> to_array(std::vector<T>&& values) {
  auto* kept = new std::vector<T>(std::move(values));
  const py::capsule owner(kept, [](void* vector) { delete static_cast<std::vector<T>*>(vector); });
  return py::array_t<T>(static_cast<py::ssize_t>(kept->size()), kept->data(), owner);
}

TokenColumns columns_of(const TokenRecorder& recorder) {
  const py::gil_scoped_release release;
  return recorder.columns();
}

py::dict columns(const TokenRecorder& recorder) {
  TokenColumns native = columns_of(recorder);
  py::dict result;
  result["token_offsets"] = to_array(std::move(native.token_offsets));
  result["t_token_ns"] = to_array(std::move(native.t_token_ns));
  result["n_tokens"] = to_array(std::move(native.n_tokens));
  result["t_done_ns"] = to_array(std::move(native.t_done_ns));
  return result;
}

// Mean cost of one of n reads of the clock that stamps use.
double stamp_clock_read_ns(std::int64_t n) {
  if (n < 1) throw py::value_error("n: expected 1 or more reads, got " + std::to_string(n));
  const py::gil_scoped_release release;
  StampClock& clock = StampClock::instance();
  const std::int64_t t_start_ns = now_ns();
  // Summed, so that no read can be left out.
  std::uint64_t sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += static_cast<std::uint64_t>(clock.now_ns());
  const std::int64_t spent_ns = now_ns() - t_start_ns;
  return sum == 0 ? 0.0 : static_cast<double>(spent_ns) / static_cast<double>(n);
}

// Mean cost of one of n stamps into rows of ordinary length, page faults included; opening the rows is not.
double recorder_stamp_ns(std::int64_t n) {
  if (n < 1) throw py::value_error("n: expected 1 or more stamps, got " + std::to_string(n));
  constexpr std::int64_t kEventsPerRow = 1024;
  const py::gil_scoped_release release;
  TokenRecorder recorder((n + kEventsPerRow - 1) / kEventsPerRow, kEventsPerRow);
  std::int64_t spent_ns = 0;
  for (std::int64_t i = 0, left = n; left > 0; ++i, left -= kEventsPerRow) {
    TokenRow& row = recorder.row(i);
    const std::int64_t n_stamps = std::min(left, kEventsPerRow);
    const std::int64_t t_start_ns = now_ns();
    for (std::int64_t k = 0; k < n_stamps; ++k) row.stamp();
    spent_ns += now_ns() - t_start_ns;
  }
  return static_cast<double>(spent_ns) / static_cast<double>(n);
}

}  // namespace

void bind_token_recorder(py::module_& module) {
  const auto row_type = py::reinterpret_steal<py::object>(PyType_FromSpec(&row_spec));
  if (!row_type) throw py::error_already_set();
  module.attr("TokenRow") = row_type;

  py::class_<TokenRecorder> recorder(
      module, "TokenRecorder",
      "Records when each token of each request came, without allocating and without losing any.\n\n"
      "Give each request a row; one thread at a time writes a row, different rows may be written at once:\n\n"
      "    recorder = TokenRecorder(n_rows=len(prompts))\n"
      "    row = recorder.row(i)\n"
      "    for token in stream:\n"
      "        row.stamp()\n"
      "    row.finish()\n\n"
      "Room is reserved as address space and becomes memory page by page as rows fill (12 bytes per event), so a\n"
      "generous max_tokens_per_row costs nothing. Up to max_tokens_per_row events a row loses none; past it stamp()\n"
      "raises OverflowError and `n_lost` counts.");
  recorder.attr("__module__") = "tokenclock";
  recorder
      .def(py::init<std::int64_t, std::int64_t>(), py::arg("n_rows"),
           py::arg("max_tokens_per_row") = TokenRecorder::kDefaultMaxTokensPerRow,
           "Reserve n_rows rows of at most max_tokens_per_row events each (default 131072).\n\n"
           "Raises ValueError for a size below 1 or 64 TiB in all, MemoryError where the system refuses the address\n"
           "space (`ulimit -v`).")
      .def(
          "row",
          // The type is looked up where rows are made, never per stamp.
          [type = reinterpret_cast<PyTypeObject*>(row_type.ptr())](const py::object& self, std::int64_t i) {
            return make_row(type, self, i);
          },
          py::arg("i"), "The row number i (from 0), a TokenRow. Raises IndexError.")
      .def_property_readonly("n_rows", &TokenRecorder::n_rows, "Number of rows.")
      .def_property_readonly("max_tokens_per_row", &TokenRecorder::max_tokens_per_row, "Events that a row can hold.")
      .def_property_readonly(
          "clock", [](const TokenRecorder&) { return StampClock::instance().uses_ticks() ? "tsc" : "kernel"; },
          "What stamps read: \"tsc\", the processor's counter kept in step with now_ns(), where the kernel trusts it;\n"
          "else \"kernel\", which is now_ns().")
      .def_property_readonly(
          "max_clock_error_ns", [](const TokenRecorder&) { return StampClock::instance().max_error_ns(); },
          "How far stamps of this process lay from now_ns() at worst so far, in ns; 0 for the kernel's clock.")
      .def_property_readonly("n_events", &TokenRecorder::n_events, "Number of events in all rows so far.")
      .def_property_readonly("n_lost", &TokenRecorder::n_lost,
                             "Number of events that full or finished rows refused; 0 in a sound run.")
      .def("columns", &columns,
           "Copy everything recorded so far into one consistent set of arrays, also while rows are being written.\n\n"
           "Returns a dict of arrays: token_offsets (int64, n_rows + 1; row i is events token_offsets[i] to\n"
           "token_offsets[i + 1]), t_token_ns (int64), n_tokens (int32), t_done_ns (int64, n_rows; the smallest int64\n"
           "where a row is not finished). Instants are ns of now_ns().")
      .def_property_readonly(
          "token_offsets", [](const TokenRecorder& self) { return to_array(columns_of(self).token_offsets); },
          "As in columns(): int64 array, n_rows + 1. Copied at each use.")
      .def_property_readonly(
          "t_token_ns", [](const TokenRecorder& self) { return to_array(columns_of(self).t_token_ns); },
          "As in columns(): int64 array, ns, all rows one after another. Copied at each use.")
      .def_property_readonly(
          "n_tokens", [](const TokenRecorder& self) { return to_array(columns_of(self).n_tokens); },
          "As in columns(): int32 array, all rows one after another. Copied at each use.")
      .def_property_readonly(
          "t_done_ns", [](const TokenRecorder& self) { return to_array(columns_of(self).t_done_ns); },
          "As in columns(): int64 array, ns, one per row, the smallest int64 where not finished. Copied at each use.")
      .def("__len__", &TokenRecorder::n_rows)
      .def("__repr__", [](const TokenRecorder& self) {
        return "<tokenclock.TokenRecorder of " + std::to_string(self.n_rows()) +
               " rows: " + std::to_string(self.n_events()) + " events>";
      });

  module.def_submodule("bench")
      .def("stamp_clock_read_ns", &stamp_clock_read_ns, py::arg("n"),
           "Mean cost in ns of one read of the clock that stamps use, over n reads in a row.")
      .def("recorder_stamp_ns", &recorder_stamp_ns, py::arg("n"),
           "Mean cost in ns of one native stamp, over n stamps into rows of 1024 events, page faults included.");
}

}  // namespace tokenclock
