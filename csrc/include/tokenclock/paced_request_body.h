// What the JSON body of a generation request asks for, read in one pass.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tokenclock {

struct GenerationRequest {
  static constexpr std::int32_t kMaxOutputTokens = 1'000'000;

  std::string model;               // the inside of the JSON string, still escaped; empty when absent
  std::int32_t prompt_tokens = 0;  // ids of a list, words of a text
  std::int32_t max_tokens = -1;    // -1: not asked
  bool stream = false;
  bool include_usage = false;     // stream_options.include_usage
  bool continuous_usage = false;  // stream_options.continuous_usage_stats: usage in every event
  bool return_token_ids = false;  // token_ids in every choice
};

// Returns an empty string, or what is wrong with the body (a 400 for the client). `chat`: messages instead of prompt.
[[nodiscard]] std::string read_generation_request(std::string_view body, bool chat, GenerationRequest& request);

}  // namespace tokenclock
