#include "bindings.h"

namespace tokenclock {

void bind_clock(pybind11::module_& /*module*/) {}

}  // namespace tokenclock
