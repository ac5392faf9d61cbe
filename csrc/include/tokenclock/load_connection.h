// One connection of the load client and the request it carries. Owned by a worker, touched by its thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "tokenclock/clock.h"
#include "tokenclock/reply_reader.h"
#include "tokenclock/request_queue.h"
#include "tokenclock/socket.h"
#include "tokenclock/tls.h"

namespace tokenclock {

struct LoadConnection {
  enum class State : std::uint8_t { closed, connecting, handshaking, sending, receiving, idle };

  Socket socket;
  std::unique_ptr<TlsSession> tls;  // none on a plain connection
  State state = State::closed;
  bool reused = false;
  bool peer_closed = false;    // the server has closed its side: good for this reply, and for no other
  std::int32_t n_replies = 0;  // whole ones, over this connection
  std::int32_t id = -1;
  std::size_t active_index = 0;
  std::size_t addresses_left = 0;
  std::size_t address_index = 0;
  std::size_t n_sent_bytes = 0;
  std::int64_t t_connect_ns = kMissingNs;
  std::int64_t t_sent_ns = kMissingNs;
  std::int64_t t_progress_ns = 0;
  PreparedRequest request;
  bool waits_for_room = false;  // the socket's send buffer is full
  std::array<char, 80> length_line{};
  std::size_t length_line_size = 0;
  ReplyReader reader;
};

}  // namespace tokenclock
