#include "bindings.h"

namespace tokenclock {

void bind_hdr_histogram(pybind11::module_& /*module*/) {}

}  // namespace tokenclock
