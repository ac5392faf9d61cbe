// Incremental HTTP/1.1 response parser: bytes in, body spans out, no copies of the body.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tokenclock {

class HttpResponseParser {
 public:
  static constexpr std::size_t kMaxHeaderBytes = 64 * 1024;

  enum class Step : std::uint8_t {
    need_more,  // all of the input is consumed
    headers,    // the final (non-1xx) header block is complete: status(), keep_alive(), is_event_stream() hold
    body,       // body() is a non-empty span inside the caller's input
    complete,   // the message ended; what is left of the input belongs to the next message
    error,      // error() says what was wrong; the connection is of no more use
  };

  // Consumes from the front of `input` (advances it) and returns at the first thing worth saying. Call again until
  // need_more, complete or error.
  Step next(std::string_view& input);
  // The peer closed: complete where the body is delimited by the close, else error ("truncated ...").
  Step end_of_stream();
  // Ready for the next response on the same connection.
  void reset();

  [[nodiscard]] std::string_view body() const noexcept { return body_; }
  [[nodiscard]] int status() const noexcept { return status_; }
  [[nodiscard]] bool keep_alive() const noexcept;       // the connection may carry another request after `complete`
  [[nodiscard]] bool is_event_stream() const noexcept;  // Content-Type: text/event-stream
  [[nodiscard]] const char* error() const noexcept { return error_; }
  [[nodiscard]] bool started() const noexcept;          // any byte of this response was seen

 private:
  std::string_view body_;
  const char* error_ = "";
  int status_ = 0;
  // the rest of the state is the implementation's
};

}  // namespace tokenclock
