// Limits on what a peer may send.
#pragma once

#include <cstddef>

namespace tokenclock {

// `n_bytes`; in the fuzzers' build 1024 at most, so that a fuzzer's short inputs reach every limit.
constexpr std::size_t input_limit(std::size_t n_bytes) noexcept {
#ifdef TOKENCLOCK_SMALL_LIMITS
  return n_bytes < 1024 ? n_bytes : 1024;
#else
  return n_bytes;
#endif
}

}  // namespace tokenclock
