#include "bindings.h"

namespace tokenclock {

void bind_token_recorder(pybind11::module_& /*module*/) {}

}  // namespace tokenclock
