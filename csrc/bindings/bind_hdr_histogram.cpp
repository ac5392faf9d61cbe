#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "arguments.h"
#include "bindings.h"
#include "initialised.h"
#include "tokenclock/hdr_codec.h"
#include "tokenclock/hdr_histogram.h"

namespace py = pybind11;

namespace tokenclock {
namespace {

// record_many and merge run without the GIL, so Python threads that share a histogram need a lock of its own. Its
// holder never waits for the GIL, so waiting for the lock with the GIL held cannot deadlock.
struct SharedHistogram {
  explicit SharedHistogram(HdrHistogram initial) : histogram(std::move(initial)) {}
  HdrHistogram histogram;
  mutable std::mutex mutex;
};

}  // namespace
}  // namespace tokenclock

template <>
class pybind11::detail::type_caster<tokenclock::SharedHistogram>
    : public tokenclock::InitialisedCaster<tokenclock::SharedHistogram> {};

namespace tokenclock {
namespace {

// A method of the core under the lock.
template <typename Result>
auto locked(Result (HdrHistogram::*method)() const) {
  return [method](const SharedHistogram& self) {
    const std::lock_guard lock(self.mutex);
    return (self.histogram.*method)();
  };
}

const SharedHistogram& histogram_argument(py::handle object) {
  if (!py::isinstance<SharedHistogram>(object)) reject_type("other", "an HdrHistogram", object);
  return object.cast<const SharedHistogram&>();
}

HdrHistogram make(py::handle lowest, py::handle highest, py::handle significant_digits) {
  return HdrHistogram(int64_argument(lowest, "lowest"), int64_argument(highest, "highest"),
                      int64_argument(significant_digits, "significant_digits"));
}

bool record_n(SharedHistogram& self, py::handle value, std::int64_t n) {
  const auto number = whole_number(value, "value");
  const std::lock_guard lock(self.mutex);
  return self.histogram.record_n(number.value_or(-1), n);  // past 64 bits is out of every range, as -1 is
}

std::int64_t record_many(SharedHistogram& self, py::handle values) {
  const auto array = int64_array(values);
  const std::span<const std::int64_t> span(array.data(), static_cast<std::size_t>(array.size()));
  const py::gil_scoped_release release;
  const std::lock_guard lock(self.mutex);
  return self.histogram.record_many(span);
}

std::int64_t merge(SharedHistogram& self, py::handle other_object) {
  const auto& other = histogram_argument(other_object);
  const py::gil_scoped_release release;
  if (&self == &other) {
    const std::lock_guard lock(self.mutex);
    return self.histogram.merge(self.histogram);
  }
  const std::scoped_lock lock(self.mutex, other.mutex);
  return self.histogram.merge(other.histogram);
}

py::object equals(const SharedHistogram& self, py::handle other_object) {
  if (!py::isinstance<SharedHistogram>(other_object)) return py::reinterpret_borrow<py::object>(Py_NotImplemented);
  const auto& other = other_object.cast<const SharedHistogram&>();
  if (&self == &other) return py::bool_(true);
  const std::scoped_lock lock(self.mutex, other.mutex);
  return py::bool_(self.histogram == other.histogram);
}

// Read only, and alive as long as the view is. A view taken while another thread records may show it half way.
py::array counts_view(const py::object& self) {
  const auto counts = self.cast<const SharedHistogram&>().histogram.counts();
  py::array_t<std::int64_t> view(static_cast<py::ssize_t>(counts.size()), counts.data(), self);
  view.attr("setflags")(py::arg("write") = false);
  return view;
}

py::tuple recorded(const SharedHistogram& self) {
  const std::lock_guard lock(self.mutex);
  const auto buckets = self.histogram.recorded_buckets();
  const auto n = static_cast<py::ssize_t>(buckets.size());
  py::array_t<std::int64_t> values(n);
  py::array_t<std::int64_t> counts(n);
  for (py::ssize_t i = 0; i < n; ++i) {
    const auto& bucket = buckets[static_cast<std::size_t>(i)];
    values.mutable_at(i) = self.histogram.lowest_of_bucket(bucket.index);
    counts.mutable_at(i) = bucket.count;
  }
  return py::make_tuple(values, counts);
}

constexpr int kStateVersion = 1;

// Only the buckets with a count, as bytes (int64 pairs): a pickle of a sparse histogram is small and needs no NumPy to
// read.
py::tuple get_state(const SharedHistogram& self) {
  const std::lock_guard lock(self.mutex);
  const auto& histogram = self.histogram;
  const auto buckets = histogram.recorded_buckets();
  const py::bytes packed(reinterpret_cast<const char*>(buckets.data()), buckets.size() * sizeof(HdrHistogram::Bucket));
  return py::make_tuple(kStateVersion, histogram.lowest(), histogram.highest(), histogram.significant_digits(), packed,
                        histogram.min().value_or(0), histogram.max().value_or(0), histogram.n_lost());
}

std::span<const std::uint8_t> view(const py::bytes& bytes) {
  const auto text = static_cast<std::string_view>(bytes);
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

// Besides a saved state: ("copy", histogram) and ("payload", bytes in the form of hdr_codec.h), so that both make an
// object of whatever class they are called on; the Python front has the text forms in a subclass.
std::unique_ptr<SharedHistogram> set_state(const py::tuple& state) {
  if (state.size() == 2 && py::isinstance<py::str>(state[0])) {
    const auto source = state[0].cast<std::string>();
    if (source == "copy") {
      const auto& other = histogram_argument(state[1]);
      const std::lock_guard lock(other.mutex);
      return std::make_unique<SharedHistogram>(other.histogram);
    }
    if (source == "payload") {
      const auto payload = state[1].cast<py::bytes>();
      const auto bytes = view(payload);
      const py::gil_scoped_release release;
      return std::make_unique<SharedHistogram>(decode_hdr_payload(bytes));
    }
  }
  if (state.size() != 8 || !py::object(state[0]).equal(py::int_(kStateVersion))) {
    throw py::value_error(
        "saved HdrHistogram must be of version 1 with 8 fields; it was written by a newer tokenclock");
  }
  const auto packed = state[4].cast<std::string>();
  if (packed.size() % sizeof(HdrHistogram::Bucket) != 0) {
    throw py::value_error("saved buckets must be a multiple of 16 bytes, got " + std::to_string(packed.size()));
  }
  std::vector<HdrHistogram::Bucket> buckets(packed.size() / sizeof(HdrHistogram::Bucket));
  std::memcpy(buckets.data(), packed.data(), buckets.size() * sizeof(HdrHistogram::Bucket));
  return std::make_unique<SharedHistogram>(HdrHistogram::restore(
      state[1].cast<std::int64_t>(), state[2].cast<std::int64_t>(), state[3].cast<int>(), buckets,
      state[5].cast<std::int64_t>(), state[6].cast<std::int64_t>(), state[7].cast<std::int64_t>()));
}

py::object copy(const py::object& self) {
  const auto type = py::type::of(self);
  auto twin = type.attr("__new__")(type);
  twin.attr("__setstate__")(py::make_tuple("copy", self));
  return twin;
}

py::bytes encode_payload(const SharedHistogram& self) {
  std::vector<std::uint8_t> payload;
  {
    const py::gil_scoped_release release;
    const std::lock_guard lock(self.mutex);
    payload = encode_hdr_payload(self.histogram);
  }
  return {reinterpret_cast<const char*>(payload.data()), payload.size()};
}

std::string repr(const SharedHistogram& self) {
  const std::lock_guard lock(self.mutex);
  const auto& histogram = self.histogram;
  return "HdrHistogram(lowest=" + std::to_string(histogram.lowest()) +
         ", highest=" + std::to_string(histogram.highest()) +
         ", significant_digits=" + std::to_string(histogram.significant_digits()) +
         ") of total_count=" + std::to_string(histogram.total_count()) +
         ", n_lost=" + std::to_string(histogram.n_lost());
}

}  // namespace

void bind_hdr_histogram(py::module_& module) {
  module.def(
      "percentile_rank",
      [](py::handle percentile, py::handle n) {
        return percentile_rank(percentile_argument(percentile), int64_argument(n, "n"));
      },
      py::arg("percentile"), py::arg("n"),
      "Rank, from 1, of a percentile among n ordered values: max(1, ceil(percentile / 100 * n)), guarded against a "
      "product\n"
      "that rounding lifted just above a whole number (99.9 of 1 000 is rank 999).\n\n"
      "Raises ValueError unless 0 <= percentile <= 100 and n >= 1.");

  py::class_<SharedHistogram> histogram(
      module, "HdrHistogram",
      "Counts of whole values (nanoseconds by default) that keep `significant_digits` decimal digits over a wide "
      "range.\n\n"
      "lowest: values from 0 to here are recorded but not told apart (default 1 000 = 1 us; rounded down to a power of "
      "two).\n"
      "highest: values above are refused (default 3.6e12 = 1 h), as are negative ones. Refused values are never "
      "clamped; they\n"
      "are counted in `n_lost`.\n"
      "significant_digits: 1 to 5 (default 4); no bucket is wider than value / 10**significant_digits or `lowest`.\n\n"
      "Statistics of an empty histogram are None, never a made-up 0. Threads may share one: calls take turns.\n"
      "Raises ValueError for parameters out of range, and OverflowError where total_count would leave 64 bits.");
  histogram
      .def(py::init([](py::handle lowest, py::handle highest, py::handle significant_digits) {
             return std::make_unique<SharedHistogram>(make(lowest, highest, significant_digits));
           }),
           py::arg("lowest") = 1000, py::arg("highest") = 3'600'000'000'000, py::arg("significant_digits") = 4)
      .def(
          "record", [](SharedHistogram& self, py::handle value) { return record_n(self, value, 1); }, py::arg("value"),
          "Record one value. False when it is out of range; it is then counted in n_lost.")
      .def(
          "record_n",
          [](SharedHistogram& self, py::handle value, py::handle n) {
            return record_n(self, value, int64_argument(n, "n"));
          },
          py::arg("value"), py::arg("n"),
          "Record a value n >= 0 times. False when it is out of range; n_lost then grows by n.")
      .def("record_many", &record_many, py::arg("values"),
           "Record an array of shape (n,); returns how many were recorded, the others are in n_lost.\n\n"
           "Contiguous int64 is read in place; other integers that fit in int64 are converted. Runs without the GIL.\n"
           "Raises TypeError for other types (floats, uint64) and ValueError for other shapes.")
      .def(
          "record_corrected",
          [](SharedHistogram& self, py::handle value, py::handle expected_interval) {
            const auto number = int64_argument(value, "value");
            const auto interval = int64_argument(expected_interval, "expected_interval");
            const std::lock_guard lock(self.mutex);
            return self.histogram.record_corrected(number, interval);
          },
          py::arg("value"), py::arg("expected_interval"),
          "Record value, value - interval, value - 2 * interval ... down to the last that is >= expected_interval: "
          "what a load\n"
          "generator that waited with the server failed to sample. Interval 0 means no correction.\n\n"
          "False when any of these was out of range and counted in n_lost. Never use it on latencies that already "
          "count from\n"
          "the schedule: that would correct twice.")
      .def("merge", &merge, py::arg("other"),
           "Add another histogram's counts and losses; returns how many of its values were out of range here (counted "
           "in\n"
           "n_lost). Where unit or digits differ, a bucket of `other` lands at its lowest value. Runs without the GIL.")
      .def(
          "reset",
          [](SharedHistogram& self) {
            const std::lock_guard lock(self.mutex);
            self.histogram.reset();
          },
          "Forget every value and every loss.")
      .def("copy", &copy, "An independent copy.")
      .def("__copy__", &copy)
      .def(
          "__deepcopy__", [](const py::object& self, py::handle) { return copy(self); }, py::arg("memo"))
      .def(
          "value_at_percentile",
          [](const SharedHistogram& self, py::handle percentile) {
            const auto share = percentile_argument(percentile);
            const std::lock_guard lock(self.mutex);
            return self.histogram.value_at_percentile(share);
          },
          py::arg("percentile"),
          "Highest value of the bucket that holds the value of rank percentile_rank(percentile, total_count); None "
          "when empty.\n\n"
          "Raises ValueError unless 0 <= percentile <= 100.")
      .def(
          "percentile_at_value",
          [](const SharedHistogram& self, py::handle value) {
            const auto number = int64_argument(value, "value");
            const std::lock_guard lock(self.mutex);
            return self.histogram.percentile_at_value(number);
          },
          py::arg("value"),
          "Percent of the recorded values that are at or below value, or share its bucket; None when empty.")
      .def(
          "count_between",
          [](const SharedHistogram& self, py::handle low, py::handle high) {
            const auto from = int64_argument(low, "low");
            const auto to = int64_argument(high, "high");
            const std::lock_guard lock(self.mutex);
            return self.histogram.count_between(from, to);
          },
          py::arg("low"), py::arg("high"),
          "Number of recorded values in the buckets from that of low to that of high, both included; low <= high.")
      .def(
          "lowest_equivalent",
          [](const SharedHistogram& self, py::handle value) {
            return self.histogram.lowest_equivalent(int64_argument(value, "value"));
          },
          py::arg("value"), "Lowest value that is counted in the same bucket.")
      .def(
          "highest_equivalent",
          [](const SharedHistogram& self, py::handle value) {
            return self.histogram.highest_equivalent(int64_argument(value, "value"));
          },
          py::arg("value"), "Highest value that is counted in the same bucket.")
      .def("recorded", &recorded,
           "(values, counts), int64 arrays: the lowest value of every bucket with a count, in order, and that count.")
      .def_property_readonly("counts", &counts_view, "Every bucket's count: a read-only int64 view, no copy.")
      .def_property_readonly("lowest", locked(&HdrHistogram::lowest))
      .def_property_readonly("highest", locked(&HdrHistogram::highest))
      .def_property_readonly("significant_digits", locked(&HdrHistogram::significant_digits))
      .def_property_readonly("total_count", locked(&HdrHistogram::total_count), "Number of values recorded.")
      .def_property_readonly("n_lost", locked(&HdrHistogram::n_lost),
                             "Number of values refused: below 0 or above highest.")
      .def_property_readonly("min", locked(&HdrHistogram::min), "Exact lowest recorded value; None when empty.")
      .def_property_readonly("max", locked(&HdrHistogram::max), "Exact highest recorded value; None when empty.")
      .def_property_readonly("mean", locked(&HdrHistogram::mean), "Mean, from bucket middles; None when empty.")
      .def_property_readonly("std", locked(&HdrHistogram::standard_deviation),
                             "Standard deviation of the population, from bucket middles; None when empty.")
      .def_property_readonly("memory_bytes", locked(&HdrHistogram::memory_bytes), "Bytes held.")
      .def("__eq__", &equals, py::arg("other"),
           "Same range, digits, counts and losses; the exact min and max inside a bucket take no part.")
      .def("__repr__", &repr)
      .def(py::pickle(&get_state, &set_state));
  // On an object that has a state already pybind11 does nothing, without a word, in a function of the name
  // __setstate__.
  histogram.attr("__setstate__") = py::cpp_function(
      [restore = py::object(histogram.attr("__setstate__"))](py::handle self, py::handle state) {
        if (py::isinstance<SharedHistogram>(self) && is_initialised(self)) {
          throw py::type_error("__setstate__ is for a new HdrHistogram; this one has its counts: make another");
        }
        restore(self, state);
      },
      py::name("set_state"), py::is_method(histogram), py::arg("state"));

  module.def("encode_hdr_payload", &encode_payload, py::arg("histogram"),
             "The histogram in the binary form of the HDR implementations, version 2, neither deflated nor in base64.");
  module.def(
      "hdr_payload_limit_bytes", [](const py::bytes& start) { return hdr_payload_limit_bytes(view(start)); },
      py::arg("start"),
      "The most bytes a binary form can have that begins with these (40, or fewer where there are no more).\n\n"
      "Raises ValueError that begins with \"byte N: \" where they are no header.");
}

}  // namespace tokenclock
