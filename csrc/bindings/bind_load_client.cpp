#include "bindings.h"

namespace tokenclock {

void bind_load_client(pybind11::module_& /*module*/) {}

}  // namespace tokenclock
