// Arguments that Python hands over, checked: whole numbers, percentages, arrays of int64.
#pragma once

#include <pybind11/numpy.h>

#include <cstdint>
#include <optional>
#include <string>

namespace tokenclock {

namespace py = pybind11;

[[noreturn]] inline void reject_type(const char* name, const char* expected, py::handle got) {
  throw py::type_error(std::string(name) + " must be " + expected + ", got " + Py_TYPE(got.ptr())->tp_name);
}

// A whole number, NumPy's included; empty where it does not fit in 64 bits.
inline std::optional<std::int64_t> whole_number(py::handle number, const char* name) {
  const auto index = py::reinterpret_steal<py::object>(PyNumber_Index(number.ptr()));
  if (!index) {
    PyErr_Clear();
    reject_type(name, "an int", number);
  }
  int overflow = 0;
  const long long value = PyLong_AsLongLongAndOverflow(index.ptr(), &overflow);
  if (overflow) return std::nullopt;
  return value;
}

inline std::int64_t int64_argument(py::handle number, const char* name) {
  const auto value = whole_number(number, name);
  if (!value) throw py::value_error(std::string(name) + " must fit in 64 bits, got " + std::string(py::str(number)));
  return *value;
}

inline double percentile_argument(py::handle number) {
  const double value = PyFloat_AsDouble(number.ptr());
  if (value == -1.0 && PyErr_Occurred()) {
    PyErr_Clear();
    reject_type("percentile", "a number", number);
  }
  return value;
}

using Int64Array = py::array_t<std::int64_t, py::array::c_style | py::array::forcecast>;

// One dimension, and a type whose every value is an int64 value; anything else would be clamped or rounded on the way
// in.
inline Int64Array int64_array(py::handle values) {
  const auto array = py::array::ensure(values);
  if (!array) {
    PyErr_Clear();
    reject_type("values", "an array of int64", values);
  }
  const bool is_empty_list = array.size() == 0 && !py::isinstance<py::array>(values);  // NumPy makes it float64
  const auto kind = array.dtype().kind();
  if (!is_empty_list && kind != 'i' && !(kind == 'u' && array.itemsize() < 8)) {
    throw py::type_error("values must be an array of int64 or of integers that fit in it, got " +
                         std::string(py::str(array.dtype())) + "; round or cast it first");
  }
  if (array.ndim() != 1) {
    throw py::value_error("values must have 1 dimension, got " + std::to_string(array.ndim()) + "; ravel it first");
  }
  return Int64Array::ensure(array);  // no copy when it already is contiguous int64
}

}  // namespace tokenclock
