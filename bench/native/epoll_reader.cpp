// The yardstick of the load client: the least a reader of event streams can do. It opens connections, sends requests,
// finds where events begin, stamps them by the kernel's receive stamps, and does nothing else: no JSON, no HTTP but the
// end of a reply, no failures, no report. What a full client costs beyond it is what the full client can be blamed for.
//
//   epoll_reader PORT STREAMS REQUESTS OUTPUT_TOKENS FILE [user]
//
// FILE gets int64s: n_requests, n_events, then (k, t_sent_ns) of each request and (request, t_ns) of each event; k is
// the paced server's number of the request. Standard output gets one JSON object with what it cost.
#include <arpa/inet.h>
#include <linux/net_tstamp.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr std::size_t kRoom = 256 * 1024;
constexpr std::size_t kCarry = 8;  // the end of a read that an event's beginning may straddle
constexpr std::string_view kBegin = "\ndata: ";
constexpr std::string_view kLast = "\r\n0\r\n\r\n";

std::int64_t read_clock(clockid_t clock) {
  timespec t{};
  ::clock_gettime(clock, &t);
  return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

struct Stream {
  int fd = -1;
  std::int64_t request = -1;
  std::size_t n_carried = 0;
  std::array<char, kCarry> carried{};
};

struct Pair {
  std::int64_t a;
  std::int64_t b;
};

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

int open_connection(const sockaddr_in& address, bool kernel_stamps) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const int flags = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
  if (kernel_stamps) ::setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &flags, sizeof flags);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) die("connect");
  return fd;
}

std::int64_t cpu_ns(int which) {
  rusage usage{};
  ::getrusage(which, &usage);
  return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1'000'000'000LL +
         (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1'000LL;
}

class Reader {
 public:
  Reader(std::uint16_t port, std::size_t n_streams, std::int64_t n_requests, int osl, bool kernel_stamps)
      : n_requests_(n_requests), kernel_stamps_(kernel_stamps), streams_(n_streams), buffer_(kCarry + kRoom) {
    std::string prompt = "5";
    for (int i = 1; i < 32; ++i) prompt += ",5";
    const std::string body = "{\"model\":\"paced\",\"prompt\":[" + prompt + "],\"max_tokens\":" + std::to_string(osl) +
                             ",\"stream\":true,\"stream_options\":{\"include_usage\":true}}";
    request_ =
        "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        "Content-Length: " +
        std::to_string(body.size()) + "\r\n\r\n" + body;
    sent_.reserve(static_cast<std::size_t>(n_requests));
    events_.reserve(static_cast<std::size_t>(n_requests) * static_cast<std::size_t>(osl + 4));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    poll_fd_ = ::epoll_create1(0);
    for (Stream& stream : streams_) {
      stream.fd = open_connection(address, kernel_stamps);
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.ptr = &stream;
      ::epoll_ctl(poll_fd_, EPOLL_CTL_ADD, stream.fd, &event);
    }
    const std::int64_t before = read_clock(CLOCK_MONOTONIC);
    offset_ns_ = read_clock(CLOCK_REALTIME) - (before + read_clock(CLOCK_MONOTONIC)) / 2;
  }

  void run() {
    for (Stream& stream : streams_) send_next(stream);
    std::array<epoll_event, 256> ready{};
    while (n_done_ < n_requests_) {
      const int n = ::epoll_wait(poll_fd_, ready.data(), static_cast<int>(ready.size()), 10'000);
      if (n <= 0) die("nothing came for 10 s");
      for (int i = 0; i < n; ++i) read(*static_cast<Stream*>(ready[static_cast<std::size_t>(i)].data.ptr));
    }
  }

  void write(const char* path) const {
    std::FILE* file = std::fopen(path, "wb");
    if (file == nullptr) die(path);
    const Pair head{static_cast<std::int64_t>(sent_.size()), static_cast<std::int64_t>(events_.size())};
    std::fwrite(&head, sizeof head, 1, file);
    std::fwrite(sent_.data(), sizeof(Pair), sent_.size(), file);
    std::fwrite(events_.data(), sizeof(Pair), events_.size(), file);
    std::fclose(file);
  }

 private:
  void send_next(Stream& stream) {
    stream.request = static_cast<std::int64_t>(sent_.size());
    stream.n_carried = 0;
    if (stream.request >= n_requests_) return;
    sent_.push_back({-1, read_clock(CLOCK_MONOTONIC)});
    if (::send(stream.fd, request_.data(), request_.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request_.size()))
      die("send");
  }

  void read(Stream& stream) {
    char* const begin = buffer_.data() + kCarry;
    iovec part{begin, kRoom};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(3 * sizeof(timespec))> control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t n = ::recvmsg(stream.fd, &message, MSG_DONTWAIT);
    if (n <= 0) die("recvmsg");
    const std::int64_t t_ns = stamp_of(message);
    std::memcpy(begin - stream.n_carried, stream.carried.data(), stream.n_carried);
    const std::string_view bytes(begin - stream.n_carried, stream.n_carried + static_cast<std::size_t>(n));
    for (std::size_t at = bytes.find(kBegin); at != std::string_view::npos; at = bytes.find(kBegin, at + 1)) {
      Pair& sent = sent_[static_cast<std::size_t>(stream.request)];
      if (sent.a < 0) sent.a = number_of(bytes.substr(at));
      events_.push_back({stream.request, t_ns});
    }
    if (bytes.ends_with(kLast)) {
      ++n_done_;
      return send_next(stream);
    }
    // shorter than what is looked for, so that nothing is found twice; long enough for the end of a reply
    stream.n_carried = std::min(bytes.size(), kBegin.size() - 1);
    std::memcpy(stream.carried.data(), bytes.data() + bytes.size() - stream.n_carried, stream.n_carried);
  }

  std::int64_t stamp_of(msghdr& message) const {
    for (cmsghdr* item = CMSG_FIRSTHDR(&message); kernel_stamps_ && item != nullptr;
         item = CMSG_NXTHDR(&message, item)) {
      if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_TIMESTAMPING) continue;
      timespec software{};
      std::memcpy(&software, CMSG_DATA(item), sizeof software);
      if (software.tv_sec != 0) return std::int64_t{software.tv_sec} * 1'000'000'000 + software.tv_nsec - offset_ns_;
    }
    return read_clock(CLOCK_MONOTONIC);
  }

  static std::int64_t number_of(std::string_view event) {
    const std::size_t at = event.find("paced-");
    return at == std::string_view::npos ? -1 : std::strtoll(event.data() + at + 6, nullptr, 10);
  }

  const std::int64_t n_requests_;
  const bool kernel_stamps_;
  std::vector<Stream> streams_;
  std::vector<char> buffer_;
  std::string request_;
  std::vector<Pair> sent_;
  std::vector<Pair> events_;
  std::int64_t offset_ns_ = 0;
  std::int64_t n_done_ = 0;
  int poll_fd_ = -1;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 6) {
    std::fprintf(stderr, "usage: epoll_reader PORT STREAMS REQUESTS OUTPUT_TOKENS FILE [user]\n");
    return 2;
  }
  const std::int64_t t_begin_ns = read_clock(CLOCK_MONOTONIC);
  const std::int64_t cpu_begin_ns = cpu_ns(RUSAGE_SELF);
  Reader reader(static_cast<std::uint16_t>(std::atoi(argv[1])), static_cast<std::size_t>(std::atoll(argv[2])),
                std::atoll(argv[3]), std::atoi(argv[4]), argc < 7);
  reader.run();
  const std::int64_t cpu = cpu_ns(RUSAGE_SELF) - cpu_begin_ns;
  const std::int64_t wall = read_clock(CLOCK_MONOTONIC) - t_begin_ns;
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  reader.write(argv[5]);
  std::printf("{\"cpu_ns\": %lld, \"wall_ns\": %lld, \"max_rss_bytes\": %lld}\n", static_cast<long long>(cpu),
              static_cast<long long>(wall), static_cast<long long>(usage.ru_maxrss) * 1024);
  return 0;
}
