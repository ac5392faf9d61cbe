// One reply, from bytes to columns: the same however it was cut, and each token event at the stamp of the read that
// completed it.
#include <algorithm>

#include "fuzz.h"
#include "tokenclock/reply_reader.h"

using namespace tokenclock;
using Progress = ReplyReader::Progress;

namespace {

// The columns of all reads of one input. Made anew for each: what grew from input to input would pass for a leak.
class Room {
 public:
  static constexpr std::size_t kRows = 3;
  explicit Room(const ReplyOptions& reply_options)
      : options(reply_options),
        columns(kRows),
        texts(kRows, options),
        recording(columns, texts, std::size_t{1} << 16, std::size_t{64} << 20) {}

  ReplyOptions options;
  RequestColumns columns;
  ReplyTexts texts;
  Recording recording;
  std::int32_t n_rows = 0;
};

struct Outcome {
  bool ended = false;
  int status = -1;
  bool reusable = false;
  std::int32_t osl_events = 0;
  std::int32_t isl = -1;
  std::int32_t osl = -1;
  std::int32_t cached = -1;
  int finish = 0;
  int http_status = 0;
  std::string tokens_per_iteration;
  std::string text;
  std::string id;
  std::string error;
  std::string final_event;
  std::vector<std::string> raw;
  std::vector<std::int32_t> n_tokens;
  std::vector<std::int64_t> t_tokens;  // the offset in the reply at which each event was complete
  bool operator==(const Outcome&) const = default;
};

void check_times(const Room& room, std::size_t row, const Outcome& outcome) {
  const std::int64_t first = room.columns.t_first_token_ns[row];
  const std::int64_t last = room.columns.t_last_token_ns[row];
  if (outcome.t_tokens.empty()) {
    FUZZ_CHECK(first == kMissingNs);
    return;
  }
  FUZZ_CHECK(first == outcome.t_tokens.front() && last == outcome.t_tokens.back());
  FUZZ_CHECK(room.columns.t_first_byte_ns[row] <= first);
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < outcome.n_tokens.size(); ++i) {
    FUZZ_CHECK(outcome.n_tokens[i] >= 1);
    FUZZ_CHECK(i == 0 || outcome.t_tokens[i] >= outcome.t_tokens[i - 1]);
    sum += outcome.n_tokens[i];
  }
  FUZZ_CHECK(outcome.osl_events == std::min<std::int64_t>(sum, INT32_MAX));
}

// Time is the number of bytes that had arrived.
Outcome read(Room& room, const fuzz::Pieces& pieces, std::size_t n_bytes) {
  Recording& recording = room.recording;
  const std::int32_t row_id = room.n_rows++;
  const auto row = static_cast<std::size_t>(row_id);
  const std::size_t n_events_before = recording.log.size();
  const std::size_t n_raw_before = recording.raw_events().size();
  ReplyReader reader;
  reader.begin(row_id, room.options);
  std::int64_t t = 0;
  auto progress = Progress::more;
  fuzz::for_each_piece(pieces, [&](std::string_view piece) {
    if (piece.empty()) return true;  // a read of nothing is a close
    t += static_cast<std::int64_t>(piece.size());
    progress = reader.feed(piece, {t, t, true}, recording);
    return progress == Progress::more;
  });
  if (progress == Progress::more) progress = reader.closed("closed by peer", {t, t, false}, recording);
  recording.settle();

  Outcome out;
  out.ended = progress != Progress::more;
  out.status = static_cast<int>(reader.status());
  // bytes behind the reply, in the same read or in a later one, forbid the connection's reuse
  out.reusable = reader.reusable() && static_cast<std::size_t>(t) == n_bytes;
  out.osl_events = room.columns.osl_events[row];
  out.isl = room.columns.isl_server[row];
  out.osl = room.columns.osl_server[row];
  out.cached = room.columns.cached_tokens[row];
  out.finish = room.columns.finish_reason[row];
  out.http_status = room.columns.http_status[row];
  out.tokens_per_iteration = std::to_string(room.columns.tokens_per_iteration[row]);
  out.text = room.texts.texts[row];
  out.id = room.texts.ids[row];
  out.final_event = room.texts.final_events[row];
  if (recording.errors().contains(row_id)) out.error = recording.errors().at(row_id);
  for (std::size_t i = n_raw_before; i < recording.raw_events().size(); ++i) {
    out.raw.push_back(recording.raw_events()[i].data);
  }
  for (std::size_t i = n_events_before; i < recording.log.size(); ++i) {
    FUZZ_CHECK(recording.log[i].row == row_id);
    out.n_tokens.push_back(recording.log[i].n_tokens);
    out.t_tokens.push_back(recording.log[i].t_token_ns);
  }
  FUZZ_CHECK(out.ended && reader.status() != RequestStatus::not_sent);
  FUZZ_CHECK(recording.log.n_lost() == 0 && recording.counts.n_unrecognised_dropped == 0);
  FUZZ_CHECK(fuzz::is_utf8(out.text) && fuzz::is_utf8(out.id));
  FUZZ_CHECK(reader.status() != RequestStatus::ok || (out.http_status >= 200 && out.http_status < 300));
  if (room.options.stream) check_times(room, row, out);
  return out;
}

// Read byte by byte, an event's time is the offset of its last byte; read in pieces, it is the end of that byte's
// piece.
Outcome moved_to_piece_ends(Outcome bytewise, const fuzz::Pieces& pieces) {
  std::size_t i = 0;
  std::int64_t end = 0;
  for (std::int64_t& t : bytewise.t_tokens) {
    while (end < t && i < pieces.size()) end += static_cast<std::int64_t>(pieces[i++].size());
    t = end;
  }
  return bytewise;
}

Outcome without_times(Outcome outcome) {
  outcome.t_tokens.clear();
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::text_of(data, size);
  fuzz::Dice dice(text);
  for (const bool stream : {true, false}) {
    Room room({.stream = stream, .keep_text = true, .keep_final_event = true});
    const std::size_t step = fuzz::small_step(text, dice);
    const Outcome fine = read(room, fuzz::in_steps(text, step), size);
    for (const fuzz::Pieces& pieces : {fuzz::Pieces{text}, fuzz::cut(text, dice)}) {
      const Outcome got = read(room, pieces, size);
      FUZZ_CHECK(without_times(got) == without_times(fine));
      if (step == 1) FUZZ_CHECK(got == moved_to_piece_ends(fine, pieces));
    }
  }
  return 0;
}
