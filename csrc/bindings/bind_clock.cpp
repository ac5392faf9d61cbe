#include <atomic>

#include "bindings.h"
#include "tokenclock/clock.h"

namespace tokenclock {

namespace py = pybind11;

namespace {

// The machine's clocks, but this process takes the wall clock to stand where it was told.
class SteppedClock final : public ClockSource {
 public:
  [[nodiscard]] std::int64_t monotonic_ns() const noexcept override { return system_clock_source().monotonic_ns(); }
  [[nodiscard]] std::int64_t realtime_ns() const noexcept override {
    return system_clock_source().realtime_ns() + ahead_ns_.load(std::memory_order_relaxed);
  }
  void step(std::int64_t by_ns) noexcept { ahead_ns_.fetch_add(by_ns, std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> ahead_ns_{0};
};

// Mean cost of one of n reads in a tight loop: what a stamp is compared with.
double clock_read_ns(std::int64_t n) {
  if (n < 1) throw py::value_error("n: expected 1 or more reads, got " + std::to_string(n));
  const py::gil_scoped_release release;
  const std::int64_t t_start_ns = now_ns();
  std::int64_t t_last_ns = t_start_ns;
  for (std::int64_t i = 0; i < n; ++i) t_last_ns = now_ns();
  return static_cast<double>(t_last_ns - t_start_ns) / static_cast<double>(n);
}

py::dict clock_facts() {
  ClockFacts facts;
  ClockAnchor anchor;
  {
    const py::gil_scoped_release release;
    facts = measure_clock();
    anchor = take_anchor(system_clock_source());
  }
  py::dict result;
  result["resolution_ns"] = facts.resolution_ns;
  result["read_cost_ns"] = facts.read_cost_ns;
  result["anchor_offset_ns"] = anchor.offset_ns;
  result["anchor_uncertainty_ns"] = anchor.uncertainty_ns;
  return result;
}

}  // namespace

void bind_clock(py::module_& module) {
  module.def("now_ns", &now_ns,
             "The instant now, in ns of CLOCK_MONOTONIC: the clock of time.perf_counter_ns() and of every `t_*_ns`.");
  module.def(
      "clock_facts", &clock_facts,
      "Measure this machine's clock, in about 1 ms.\n\n"
      "Returns a dict:\n"
      "  resolution_ns (int): smallest step seen between successive reads.\n"
      "  read_cost_ns (float): median cost of one read.\n"
      "  anchor_offset_ns (int): how far the wall clock (CLOCK_REALTIME) stands ahead of now_ns(). Add it to an\n"
      "    instant of now_ns() to get ns since 1970.\n"
      "  anchor_uncertainty_ns (int): anchor_offset_ns is wrong by this much at most.");
  py::class_<ClockSource>(module, "ClockSource",
                          "A pair of clocks, monotonic and wall, as the load client reads them.");
  py::class_<SteppedClock, ClockSource>(
      module, "SteppedClock", "This machine's clocks, the wall clock stepped at will: for tests, nothing is set.")
      .def(py::init<>())
      .def("step", &SteppedClock::step, py::arg("by_ns"), "From now on the wall clock stands by_ns further ahead.");
  module.def_submodule("bench", "Loops timed inside the core, for the microbenchmarks of bench/.")
      .def("clock_read_ns", &clock_read_ns, py::arg("n"), "Mean cost in ns of one clock read, over n reads in a row.");
}

}  // namespace tokenclock
