#include "bindings.h"

namespace tokenclock {

void bind_paced_server(pybind11::module_& /*module*/) {}

}  // namespace tokenclock
