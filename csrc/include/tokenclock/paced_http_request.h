// Incremental HTTP/1.1 request parser of the paced server.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "tokenclock/input_limit.h"

namespace tokenclock {

class HttpRequestParser {
 public:
  static constexpr std::size_t kMaxHeadBytes = input_limit(64 * 1024);
  static constexpr std::size_t kMaxBodyBytes = input_limit(64 * 1024 * 1024);

  enum class Step : std::uint8_t {
    need_more,        // all of the input is consumed
    continue_wanted,  // the client waits for "100 Continue" before it sends the body; call again after sending that
    complete,         // the request is whole; what is left of the input belongs to the next one: reset() first
    error,            // error_status() and error() say what to answer; the connection is of no more use
  };

  // Consumes from the front of `input` (advances it).
  Step next(std::string_view& input);
  // Ready for the next request of the same connection; gives back a large body's memory.
  void reset();

  [[nodiscard]] const std::string& method() const noexcept { return method_; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }  // without the query
  [[nodiscard]] const std::string& authorization() const noexcept { return authorization_; }
  [[nodiscard]] const std::string& body() const noexcept { return body_; }
  [[nodiscard]] bool keep_alive() const noexcept { return keep_alive_; }
  [[nodiscard]] bool is_http_1_0() const noexcept { return is_http_1_0_; }
  [[nodiscard]] int error_status() const noexcept { return error_status_; }
  [[nodiscard]] const char* error() const noexcept { return error_; }
  [[nodiscard]] bool started() const noexcept { return state_ != State::request_line || !line_.empty(); }

 private:
  enum class State : std::uint8_t {
    request_line,
    header,
    body,
    chunk_size,
    chunk_data,
    chunk_end,
    trailer,
    complete,
    error
  };

  Step fail(int status, const char* message);
  bool take_line(std::string_view& input);  // false: the line is not whole yet
  bool read_request_line();
  bool read_header();
  Step end_of_head();
  bool read_chunk_size();

  State state_ = State::request_line;
  bool keep_alive_ = true;
  bool says_close_ = false;
  bool is_http_1_0_ = false;
  bool chunked_ = false;
  bool has_length_ = false;
  bool expects_continue_ = false;
  int error_status_ = 0;
  const char* error_ = "";
  std::size_t n_head_bytes_ = 0;
  std::size_t n_left_ = 0;  // of the body or of the chunk
  std::string line_;
  std::string method_;
  std::string path_;
  std::string authorization_;
  std::string body_;
};

}  // namespace tokenclock
