// The paced server's requests: the same whatever the reads; a parser that was reset is as good as a new one; what the
// body asks for is the same when it asks twice.
#include "fuzz.h"
#include "tokenclock/paced_http_request.h"
#include "tokenclock/paced_request_body.h"

using tokenclock::GenerationRequest;
using tokenclock::HttpRequestParser;
using tokenclock::read_generation_request;
using Step = HttpRequestParser::Step;

namespace {

struct Outcome {
  std::string log;
  std::vector<std::string> bodies;

  bool operator==(const Outcome&) const = default;
};

// The requests of one connection, by one parser that is reset, as a server does it, or by a new one for each.
Outcome receive(const fuzz::Pieces& pieces, bool reset = true) {
  HttpRequestParser parser;
  Outcome out;
  const bool goes_on = fuzz::for_each_piece(pieces, [&](std::string_view input) {
    for (;;) {
      switch (parser.next(input)) {
        case Step::need_more:
          FUZZ_CHECK(input.empty());
          return true;
        case Step::continue_wanted:
          out.log += "continue;";
          break;
        case Step::complete:
          FUZZ_CHECK(!parser.method().empty() && parser.body().size() <= HttpRequestParser::kMaxBodyBytes);
          out.log += parser.method() + ' ' + parser.path() + (parser.keep_alive() ? " keep" : " close") +
                     (parser.is_http_1_0() ? " 1.0 [" : " [") + parser.authorization() + "]\n";
          out.bodies.push_back(parser.body());
          if (reset) {
            parser.reset();
          } else {
            parser = HttpRequestParser();
          }
          FUZZ_CHECK(!parser.started());
          break;
        case Step::error:
          FUZZ_CHECK(parser.error_status() >= 400 && parser.error_status() <= 599);
          FUZZ_CHECK(parser.next(input) == Step::error);
          out.log += "error " + std::to_string(parser.error_status()) + ' ' + parser.error() +
                     (parser.is_http_1_0() ? " 1.0" : "");
          return false;
      }
    }
  });
  if (goes_on && parser.started()) out.log += "more";
  return out;
}

bool same(const GenerationRequest& a, const GenerationRequest& b) {
  return a.model == b.model && a.prompt_tokens == b.prompt_tokens && a.max_tokens == b.max_tokens &&
         a.stream == b.stream && a.include_usage == b.include_usage && a.continuous_usage == b.continuous_usage &&
         a.return_token_ids == b.return_token_ids;
}

void check_body(std::string_view body, bool chat, fuzz::Dice& dice) {
  fuzz::GuardedMemory memory(body.size());
  body = memory.keep(body);
  GenerationRequest request;
  const std::string problem = read_generation_request(body, chat, request);
  FUZZ_CHECK(problem.find_first_of("\r\n") == std::string::npos);
  FUZZ_CHECK(fuzz::is_utf8(problem));
  if (!problem.empty()) return;
  FUZZ_CHECK(fuzz::is_utf8(body) && fuzz::is_utf8(request.model));
  FUZZ_CHECK(request.max_tokens == -1 || request.max_tokens >= 1);
  FUZZ_CHECK(request.max_tokens <= GenerationRequest::kMaxOutputTokens);
  FUZZ_CHECK(request.prompt_tokens >= 0 && static_cast<std::size_t>(request.prompt_tokens) <= body.size());

  GenerationRequest other;
  const std::size_t begin = body.find('{') + 1;
  const std::size_t end = body.rfind('}');
  FUZZ_CHECK(!read_generation_request(body.substr(0, dice.below(end + 1)), chat, other).empty());
  const std::string members(body.substr(begin, end - begin));
  FUZZ_CHECK(read_generation_request("{" + members + "," + members + "}", chat, other).empty());
  FUZZ_CHECK(same(request, other));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::text_of(data, size);
  fuzz::Dice dice(text);
  const Outcome whole = receive({text});
  FUZZ_CHECK(receive(fuzz::in_steps(text, fuzz::small_step(text, dice))) == whole);
  FUZZ_CHECK(receive(fuzz::cut(text, dice)) == whole);
  FUZZ_CHECK(receive(fuzz::cut(text, dice)) == whole);
  FUZZ_CHECK(receive(fuzz::cut(text, dice), false) == whole);

  for (const bool chat : {false, true}) {
    check_body(text, chat, dice);  // also the whole input as a body, which a fuzzer finds more easily
    for (const std::string& body : whole.bodies) check_body(body, chat, dice);
  }
  return 0;
}
