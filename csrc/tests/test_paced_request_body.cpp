// What a generation request asks for: prompts of every form, limits, flags, and what is refused.
#include <string>
#include <string_view>

#include "check.h"
#include "tokenclock/paced_request_body.h"

namespace {

using tokenclock::GenerationRequest;

GenerationRequest read(std::string_view body, bool chat = false) {
  GenerationRequest request;
  CHECK_EQ(tokenclock::read_generation_request(body, chat, request), "");
  return request;
}

std::string problem(std::string_view body, bool chat = false) {
  GenerationRequest request;
  return tokenclock::read_generation_request(body, chat, request);
}

bool refuses(std::string_view body, std::string_view why, bool chat = false) {
  return problem(body, chat).find(why) != std::string::npos;
}

}  // namespace

int main() {
  // prompts: ids are counted, words are what lies between blanks
  CHECK_EQ(read(R"({"prompt": [1, 22, 333]})").prompt_tokens, 3);
  CHECK_EQ(read(R"({"prompt":[[1,2]]})").prompt_tokens, 2);
  CHECK_EQ(read(R"({"prompt":["a b c"]})").prompt_tokens, 3);
  CHECK_EQ(read(R"({"prompt":"  two\nwords "})").prompt_tokens, 2);
  CHECK_EQ(read(R"({"prompt":"a\"b c\\d é"})").prompt_tokens, 3);
  CHECK_EQ(read(R"({"prompt":""})").prompt_tokens, 0);
  CHECK_EQ(read(R"({"prompt":[]})").prompt_tokens, 0);
  const std::string_view messages =
      R"({"messages":[{"role":"system","content":"be brief"},{"role":"user","content":[{"type":"text","text":"a b"},{"type":"image_url"}]},{"role":"assistant","content":null}]})";
  CHECK_EQ(read(messages, true).prompt_tokens, 4);

  // the rest, in any order, with what is not known skipped
  const GenerationRequest all = read(
      R"({"temperature":0.5,"stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true,"x":[]},)"
      R"("model":"a/\"b","prompt":"x","max_tokens":7,"return_token_ids":true,"n":1,"logit_bias":{"1":-1e2},"stop":null})");
  CHECK(all.stream && all.include_usage && all.continuous_usage && all.return_token_ids);
  CHECK_EQ(all.model, R"(a/\"b)");
  CHECK_EQ(all.max_tokens, 7);
  const GenerationRequest bare =
      read(R"({"prompt":"x","max_tokens":null,"stream":null,"stream_options":null,"n":null})");
  CHECK(!bare.stream && !bare.include_usage);
  CHECK_EQ(bare.max_tokens, -1);
  CHECK_EQ(bare.model, "");
  CHECK_EQ(read(R"({"prompt":"x","max_completion_tokens":3,"max_tokens":9})").max_tokens, 3);
  CHECK_EQ(read(R"({"prompt":"x","max_tokens":9,"max_completion_tokens":3})").max_tokens, 3);
  CHECK_EQ(read(R"({"messages":[{"content":"x"}],"prompt":[[],[]]})", true).prompt_tokens, 1);

  // of duplicate keys the last wins
  CHECK_EQ(read(R"({"prompt":[1,2,3],"prompt":[1,2,3]})").prompt_tokens, 3);
  CHECK_EQ(read(R"({"prompt":"a b c","prompt":["d"]})").prompt_tokens, 1);
  CHECK_EQ(read(R"({"messages":[{"content":"a b"}],"messages":[{"content":"c"}]})", true).prompt_tokens, 1);
  CHECK_EQ(read(R"({"messages":[{"content":"a b"},{"content":"c d","content":"e"}]})", true).prompt_tokens, 3);
  CHECK_EQ(read(R"({"messages":[{"content":[{"text":"a"},{"text":"b c","text":"d"}]}]})", true).prompt_tokens, 2);

  // refused, each with its reason
  CHECK(refuses("", "not a JSON object"));
  CHECK(refuses("[]", "not a JSON object"));
  CHECK(refuses(R"({"prompt":"x")", "not a JSON object"));
  CHECK(refuses(R"({"prompt":"x"} x)", "not a JSON object"));
  CHECK(refuses(R"({"prompt":"x",})", "not a JSON object"));
  CHECK(refuses(R"({"prompt":[1,]})", "token id"));
  CHECK(refuses("{}", "prompt is missing"));
  CHECK(refuses("{}", "messages is missing", true));
  CHECK(refuses(R"({"prompt":7})", "prompt must be"));
  CHECK(refuses(R"({"prompt":[1.5]})", "token id"));
  CHECK(refuses(R"({"prompt":[-1]})", "token id"));
  CHECK(refuses(R"({"prompt":["a","b"]})", "one prompt"));
  CHECK(refuses(R"({"prompt":[[1],[2]]})", "one prompt"));
  CHECK(refuses(R"({"prompt":["",7]})", "one prompt"));
  CHECK(refuses(R"({"prompt":[7,"a"]})", "one prompt"));
  CHECK(refuses(R"({"prompt":"x","max_tokens":0})", "1..1000000, got 0"));
  CHECK(refuses(R"({"prompt":"x","max_tokens":1000001})", "got 1000001"));
  CHECK(refuses(R"({"prompt":"x","max_tokens":1.5})", "whole number, got 1.5"));
  CHECK(refuses(R"({"prompt":"x","max_tokens":"7"})", "whole number"));
  CHECK(refuses(R"({"prompt":"x","n":2})", "n must be 1, got 2"));
  CHECK(refuses(R"({"prompt":"x","stream":1})", "stream must be true or false"));
  CHECK(refuses(R"({"prompt":"x","stream_options":[]})", "stream_options"));
  CHECK(refuses(R"({"prompt":"x","model":null})", "model must be a string"));
  CHECK(refuses(R"({"messages":[]})", "empty", true));
  CHECK(refuses(R"({"messages":"x"})", "list", true));
  CHECK(refuses(R"({"messages":["x"]})", "object", true));
  CHECK(refuses(R"({"messages":[{"content":7}]})", "content", true));

  // no prefix of a good body is taken for a whole one
  for (std::size_t n = 0; n < messages.size(); ++n) CHECK(!problem(messages.substr(0, n), true).empty());
  return 0;
}
