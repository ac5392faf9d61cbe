#include "bindings.h"

PYBIND11_MODULE(_core, module) {
  module.doc() = "tokenclock's native core: stamps, histograms, parsers, the load client and the paced server.";
  tokenclock::bind_build_info(module);
  tokenclock::bind_clock(module);
  tokenclock::bind_token_recorder(module);
  tokenclock::bind_hdr_histogram(module);
  tokenclock::bind_parsers(module);
  tokenclock::bind_tls(module);
  tokenclock::bind_cuda(module);
  tokenclock::bind_load_client(module);
  tokenclock::bind_paced_server(module);
}
