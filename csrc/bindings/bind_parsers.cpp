#include "bindings.h"

namespace tokenclock {

void bind_parsers(pybind11::module_& /*module*/) {}

}  // namespace tokenclock
