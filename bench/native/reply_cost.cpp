// What a received event costs beyond the kernel: framing, JSON and bookkeeping, over many replies in turn, as the load
// client does it. Under `valgrind --tool=callgrind` it counts instructions, which a busy machine does not change.
//
//   reply_cost [STREAMS [EVENTS_PER_READ [ROUNDS [completion|chat|usage]]]]
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include "tokenclock/reply_reader.h"

using namespace tokenclock;

namespace {

double cpu_ns() {
  timespec cpu{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
  return static_cast<double>(cpu.tv_sec) * 1e9 + static_cast<double>(cpu.tv_nsec);
}

std::string chunk(const std::string& data) {
  char size[16];
  std::snprintf(size, sizeof size, "%zx\r\n", data.size());
  return size + data + "\r\n";
}

std::string event_of(const std::string& kind, int stream, int round) {
  const std::string id = std::to_string(stream);
  if (kind == "chat") {
    return "data: {\"id\":\"chatcmpl-0123456789abcdef" + id +
           "\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"meta-llama/Llama-3.1-8B\","
           "\"choices\":[{\"index\":0,\"delta\":{\"content\":\" token\"},\"logprobs\":null,\"finish_reason\":null}],"
           "\"usage\":null}\n\n";
  }
  const std::string usage =
      kind == "usage" ? ",\"usage\":{\"prompt_tokens\":32,\"completion_tokens\":" + std::to_string(round + 1) + "}"
                      : "";
  return "data: {\"id\":\"cmpl-" + id +
         "\",\"object\":\"text_completion\",\"created\":1700000000,\"model\":\"m\",\"choices\":[{\"index\":0,"
         "\"text\":\" token\",\"logprobs\":null,\"finish_reason\":null}]" +
         usage + "}\n\n";
}

}  // namespace

int main(int argc, char** argv) {
  const int n_streams = argc > 1 ? std::atoi(argv[1]) : 256;
  const int per_read = argc > 2 ? std::atoi(argv[2]) : 1;
  const int n_rounds = argc > 3 ? std::atoi(argv[3]) : 1000;
  const std::string kind = argc > 4 ? argv[4] : "completion";
  RequestColumns columns(static_cast<std::size_t>(n_streams));
  const ReplyOptions options{true, false, true};
  ReplyTexts texts(static_cast<std::size_t>(n_streams), options);
  Recording recording(
      columns, texts,
      static_cast<std::size_t>(n_streams) * static_cast<std::size_t>(per_read) * static_cast<std::size_t>(n_rounds + 1),
      0);
  std::vector<ReplyReader> readers(static_cast<std::size_t>(n_streams));
  std::vector<std::string> reads(static_cast<std::size_t>(n_streams));
  for (int i = 0; i < n_streams; ++i) {
    const auto at = static_cast<std::size_t>(i);
    readers[at].begin(i, options);
    readers[at].feed("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
                     {0, 0, true}, recording);
    for (int k = 0; k < per_read; ++k) reads[at] += chunk(event_of(kind, i, k));
  }
  const double begin_ns = cpu_ns();
  for (int round = 0; round < n_rounds; ++round) {
    for (int i = 0; i < n_streams; ++i) {
      const auto at = static_cast<std::size_t>(i);
      if (readers[at].feed(reads[at], {round, round + 1, true}, recording) != ReplyReader::Progress::more) return 1;
    }
    if (round % 100 == 0) recording.settle();
  }
  const double ns = cpu_ns() - begin_ns;
  const auto n_events = static_cast<double>(recording.log.size());
  if (n_events != static_cast<double>(n_streams) * per_read * n_rounds) return 1;
  std::printf("%d streams, %d events a read, %s: %.0f ns of CPU per event\n", n_streams, per_read, kind.c_str(),
              ns / n_events);
  return 0;
}
