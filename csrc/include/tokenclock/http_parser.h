// Incremental HTTP/1.1 response parser: bytes in, body spans out, no copies of the body.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "tokenclock/input_limit.h"

namespace tokenclock {

// Tolerated, because servers do it: lines ended by LF alone, blank lines before the status line, folded header lines
// (joined, as RFC 9112 asks of a client), chunk sizes padded with blanks. A response with both Transfer-Encoding and
// Content-Length is read by the former and its connection is not used again. A header block is held in memory only
// while it is split across reads.
class HttpResponseParser {
 public:
  // also for 1xx blocks together, extensions, and trailers
  static constexpr std::size_t kMaxHeaderBytes = input_limit(std::size_t{64} * 1024);

  enum class Step : std::uint8_t {
    need_more,  // all of the input is consumed
    headers,    // the final (non-1xx) header block is complete: status(), keep_alive(), is_event_stream() hold
    body,       // body() is a non-empty span inside the caller's input
    complete,   // the message ended; what is left of the input belongs to the next message
    error,      // error() says what was wrong; the connection is of no more use
  };

  // Consumes from the front of `input` (advances it) and returns at the first thing worth saying. Call again until
  // need_more, complete or error: the end of a message is said by a call of its own, for which `input` may be empty.
  Step next(std::string_view& input);
  // The peer closed: complete where the body is delimited by the close, else error ("truncated ...").
  Step end_of_stream();
  // Ready for the next response on the same connection.
  void reset();

  [[nodiscard]] std::string_view body() const noexcept { return body_; }
  [[nodiscard]] int status() const noexcept { return status_; }
  [[nodiscard]] bool keep_alive() const noexcept { return keep_alive_; }  // another request may follow `complete`
  [[nodiscard]] bool is_event_stream() const noexcept { return is_event_stream_; }  // Content-Type: text/event-stream
  [[nodiscard]] const char* error() const noexcept { return error_; }
  [[nodiscard]] bool started() const noexcept { return started_; }  // any byte of this response was seen

 private:
  enum class State : std::uint8_t {
    head,
    body_length,
    body_until_close,
    chunk_size,
    chunk_extension,
    chunk_size_lf,
    chunk_data,
    chunk_end,
    chunk_end_lf,
    trailers,
    ended,
    failed,
  };

  bool read_head(std::string_view& input);  // true: step_ is to be returned
  bool take_head(std::string_view head);    // a complete block; true: step_ is to be returned
  bool take_plain_frame(std::string_view& input);
  void read_chunk_frame(std::string_view& input);
  void read_trailers(std::string_view& input);
  bool count_line_byte(const char* message);
  Step fail(const char* message);

  std::string_view body_;
  const char* error_ = "";
  std::string held_;                 // the part of a header block that came with earlier reads
  std::uint64_t remaining_ = 0;      // bytes of the body, or of the current chunk, still to come
  std::uint32_t counted_bytes_ = 0;  // against kMaxHeaderBytes: header blocks before this one, extension, or trailers
  int status_ = 0;
  std::uint8_t n_size_digits_ = 0;
  State state_ = State::head;
  Step step_ = Step::need_more;
  bool keep_alive_ = false;
  bool is_event_stream_ = false;
  bool started_ = false;
  bool trailer_line_empty_ = true;
};

static_assert(sizeof(HttpResponseParser) <= 200, "ten thousand connections hold one each");

}  // namespace tokenclock
