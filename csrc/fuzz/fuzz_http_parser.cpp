// Responses of one connection: the same whatever the reads, body spans inside the input, bodies that come back as sent.
#include "fuzz.h"
#include "tokenclock/http_parser.h"

using tokenclock::HttpResponseParser;
using Step = HttpResponseParser::Step;

namespace {

struct Outcome {
  std::string log;  // per message: status, flags, body
  std::string error;
  std::vector<std::string> bodies;

  bool operator==(const Outcome&) const = default;
};

class Receiver {
 public:
  // False: the connection is of no more use.
  bool feed(std::string_view piece) {
    std::string_view input = piece;
    for (;;) {
      const std::size_t n_before = input.size();
      switch (parser_.next(input)) {
        case Step::need_more:
          FUZZ_CHECK(input.empty());
          return true;
        case Step::headers:
          FUZZ_CHECK(parser_.started() && parser_.status() >= 200 && parser_.status() <= 999);
          FUZZ_CHECK(input.size() < n_before && !has_head_);
          has_head_ = true;
          break;
        case Step::body: {
          const std::string_view body = parser_.body();
          FUZZ_CHECK(has_head_ && !body.empty() && input.size() + body.size() <= n_before);
          FUZZ_CHECK(body.data() >= piece.data());
          FUZZ_CHECK(body.data() + body.size() == piece.data() + piece.size() - input.size());
          body_ += body;
          break;
        }
        case Step::complete:
          FUZZ_CHECK(has_head_);
          end_message();
          if (input.empty()) return true;
          break;
        case Step::error:
          FUZZ_CHECK(!parser_.keep_alive() && parser_.next(input) == Step::error);
          out_.error = parser_.error();
          FUZZ_CHECK(!out_.error.empty());
          return false;
      }
    }
  }

  Outcome closed() {
    if (!out_.error.empty()) return out_;
    if (parser_.started() || parser_.end_of_stream() == Step::complete) {
      if (parser_.end_of_stream() == Step::complete) {
        FUZZ_CHECK(!parser_.keep_alive());
        end_message();
      } else {
        out_.error = parser_.error();
      }
    }
    return out_;
  }

 private:
  void end_message() {
    out_.log += std::to_string(parser_.status()) + (parser_.is_event_stream() ? " sse" : "") +
                (parser_.keep_alive() ? " keep\n" : " close\n");
    out_.bodies.push_back(std::move(body_));
    body_.clear();
    has_head_ = false;
    parser_.reset();
  }

  HttpResponseParser parser_;
  Outcome out_;
  std::string body_;
  bool has_head_ = false;
};

Outcome receive(const fuzz::Pieces& pieces) {
  Receiver receiver;
  fuzz::for_each_piece(pieces, [&](std::string_view piece) { return receiver.feed(piece); });
  return receiver.closed();
}

// What was understood, said again in other framings, is understood again.
void check_said_again(const Outcome& outcome, fuzz::Dice& dice) {
  std::string by_length;
  std::string by_chunks;
  for (const std::string& body : outcome.bodies) {
    by_length += "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    by_chunks += "HTTP/1.1 200\nTransfer-Encoding: chunked\n\n";
    for (const std::string_view piece : fuzz::cut(body, dice)) {
      if (piece.empty()) continue;
      char size[24];
      std::snprintf(size, sizeof size, "%zX\r\n", piece.size());
      by_chunks.append(size).append(piece).append("\r\n");
    }
    by_chunks += "0\r\n\r\n";
  }
  for (const std::string& again : {by_length, by_chunks}) {
    const Outcome got = receive(fuzz::cut(again, dice));
    FUZZ_CHECK(got.error.empty() && got.bodies == outcome.bodies);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::text_of(data, size);
  fuzz::Dice dice(text);
  const Outcome whole = receive({text});
  FUZZ_CHECK(receive(fuzz::in_steps(text, fuzz::small_step(text, dice))) == whole);
  FUZZ_CHECK(receive(fuzz::cut(text, dice)) == whole);
  FUZZ_CHECK(receive(fuzz::cut(text, dice)) == whole);
  check_said_again(whole, dice);
  return 0;
}
