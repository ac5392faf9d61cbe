#include "tokenclock/paced_server.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "tokenclock/paced_loop.h"
#include "tokenclock/receive_stamp.h"
#include "tokenclock/socket.h"

namespace tokenclock {

namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

[[noreturn]] void throw_address_error(int error, const PacedOptions& options) {
  throw std::system_error(error, std::generic_category(),
                          "cannot listen on " + options.host + " port " + std::to_string(options.port));
}

[[noreturn]] void throw_path_error(int error, const std::string& path) {
  throw std::system_error(error, std::generic_category(), "cannot listen on " + path);
}

// The file of a server that died without removing it is taken over; that of one that lives is not.
int listen_on_path(const std::string& path) {
  const Address address = parse_address(path, 0);
  Socket socket = open_socket(address);
  if (!socket.is_open()) throw_path_error(errno, path);
  const auto* raw = reinterpret_cast<const sockaddr*>(&address.storage);
  if (::bind(socket.fd(), raw, address.length) != 0) {
    if (errno != EADDRINUSE) throw_path_error(errno, path);
    const Socket probe = open_socket(address);
    if (begin_connect(probe, address) != ECONNREFUSED || ::unlink(path.c_str()) != 0 ||
        ::bind(socket.fd(), raw, address.length) != 0)
      throw_path_error(EADDRINUSE, path);
  }
  if (::listen(socket.fd(), 4096) != 0) throw_path_error(errno, path);
  return socket.release();
}

int listen_on(const PacedOptions& options, std::uint16_t& port) {
  check_options(options);
  if (!options.unix_socket.empty()) return listen_on_path(options.unix_socket);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(options.host.c_str(), std::to_string(options.port).c_str(), &hints, &found);
  if (error != 0) throw std::invalid_argument("no address for host " + options.host + ": " + ::gai_strerror(error));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses(found, ::freeaddrinfo);

  const int fd = ::socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) throw_address_error(errno, options);
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  enable_receive_stamps(fd);  // accepted sockets inherit it, so that their very first segment is stamped
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  if (::bind(fd, found->ai_addr, found->ai_addrlen) != 0 || ::listen(fd, 4096) != 0 ||
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size) != 0) {
    const int reason = errno;
    ::close(fd);
    throw_address_error(reason, options);
  }
  port = ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6*>(&bound)->sin6_port
                                           : reinterpret_cast<const sockaddr_in*>(&bound)->sin_port);
  return fd;
}

}  // namespace

PacedServer::PacedServer(const PacedOptions& options, const ClockSource& clock)
    : unix_socket_(options.unix_socket),
      listener_(listen_on(options, port_)),
      truth_(static_cast<std::size_t>(options.max_requests), static_cast<std::size_t>(options.max_sends)),
      counters_(std::make_unique<PacedCounters>()),
      loop_(std::make_unique<PacedLoop>(options, listener_, clock, truth_, *counters_)) {}

PacedServer::~PacedServer() {
  try {
    stop();
  } catch (...) {  // NOLINT(bugprone-empty-catch)
    // whoever wanted to know has called stop()
  }
}

void PacedServer::start() {
  if (thread_.joinable() || listener_ < 0) throw std::logic_error("a paced server is started once");
  wake_kernel_stamping();  // here, not in the thread: whoever connects once start() is back has the first segment
                           // stamped
  running_.store(true);
  thread_ = std::thread([this] {
    try {
      loop_->run();
    } catch (...) {
      failure_ = std::current_exception();
    }
    running_.store(false);
  });
}

void PacedServer::stop() {
  if (thread_.joinable()) {
    loop_->stop();
    thread_.join();
  }
  loop_.reset();
  if (listener_ >= 0) {
    ::close(std::exchange(listener_, -1));
    if (!unix_socket_.empty()) ::unlink(unix_socket_.c_str());
  }
  if (failure_ != nullptr) std::rethrow_exception(std::exchange(failure_, nullptr));
}

bool PacedServer::is_running() const noexcept { return running_.load(); }

PacedServer::Figures PacedServer::figures() const noexcept {
  return {counters_->n_requests.load(kRelaxed),    counters_->n_prompt_tokens.load(kRelaxed),
          counters_->n_tokens.load(kRelaxed),      counters_->n_in_flight.load(kRelaxed),
          counters_->n_clock_steps.load(kRelaxed), counters_->cpu_ns.load(kRelaxed),
          counters_->spun_ns.load(kRelaxed)};
}

}  // namespace tokenclock
