// What one worker of the load client writes down while it reads: token events, replies' texts, errors, counters.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tokenclock/clock.h"
#include "tokenclock/columns.h"

namespace tokenclock {

// When a piece of a reply arrived: the best stamp there is, and when user space saw it. Relative to the run's start.
struct Arrival {
  std::int64_t t_ns;
  std::int64_t t_read_ns;
  bool kernel;  // t_ns is the kernel's receive stamp
};

// An event nobody understood, kept for Python's json to look at after the run.
struct RawEvent {
  std::int32_t row;
  Arrival arrival;
  std::string data;
};

struct ReplyOptions {
  bool stream = true;
  bool keep_text = false;
  bool keep_final_event = false;  // raw JSON of the event that carried usage
};

// Texts of all rows, shared by the workers: a row's strings have one writer, the worker that sent it.
struct ReplyTexts {
  ReplyTexts(std::size_t n_rows, const ReplyOptions& options)
      : ids(n_rows), texts(options.keep_text ? n_rows : 0), final_events(options.keep_final_event ? n_rows : 0) {}
  std::vector<std::string> ids;
  std::vector<std::string> texts;
  std::vector<std::string> final_events;
};

struct RecordingCounts {
  std::int64_t n_events_kernel = 0;
  std::int64_t n_events_coalesced = 0;        // came with others in one read: they carry the stamp of its last segment
  std::int64_t n_first_tokens_coalesced = 0;  // rows whose first token came in one read with later ones
  std::int64_t n_events_stepped = 0;          // fell back to user time because the wall clock stepped
  std::int64_t n_count_usage = 0;             // n_tokens came from per-event usage
  std::int64_t n_count_ids = 0;               // from the length of token_ids or logprobs
  std::int64_t n_count_one = 0;               // taken as one
  std::int64_t n_unrecognised = 0;
  std::int64_t n_unrecognised_dropped = 0;
  std::int64_t n_texts_dropped = 0;
};

class Recording {
 public:
  static constexpr std::size_t kMaxRawEventBytes = 16u << 20;
  static constexpr std::size_t kMaxErrorBytes = 4u << 20;
  static constexpr std::size_t kMaxErrorTextBytes = 512;

  Recording(RequestColumns& request_columns, ReplyTexts& reply_texts, std::size_t event_capacity,
            std::size_t text_limit_bytes)
      : columns(request_columns), texts(reply_texts), log(event_capacity), text_limit_bytes_(text_limit_bytes) {}

  RequestColumns& columns;
  ReplyTexts& texts;
  TokenEventLog log;
  RecordingCounts counts;

  // One token event; updates the row's first and last token as well.
  void add_token_event(std::int32_t row, std::int32_t n_tokens, const Arrival& arrival);
  // A kernel stamp went into `column[row]`; remembered until the clock is known to have stood still meanwhile.
  void set_stamp(ReservedArray<std::int64_t>& column, std::int32_t row, const Arrival& arrival);
  void add_text(std::int32_t row, std::string_view escaped);
  void keep_raw(std::int32_t row, const Arrival& arrival, std::string_view data);
  // Keeps the first kMaxErrorTextBytes of the text.
  void set_error(std::int32_t row, std::string_view text);
  void row_finished(std::int32_t row) { finished_.push_back(row); }

  // The wall clock stood still since the last call: what was written meanwhile is final.
  void settle();
  // It did not: kernel stamps taken meanwhile are replaced by the instants at which user space saw them.
  void settle_after_step();

  [[nodiscard]] std::vector<std::int32_t> take_finished() { return std::exchange(finished_, {}); }
  [[nodiscard]] const std::unordered_map<std::int32_t, std::string>& errors() const noexcept { return errors_; }
  [[nodiscard]] const std::vector<RawEvent>& raw_events() const noexcept { return raw_events_; }

 private:
  struct Unsettled {
    std::int64_t* stamp;
    std::int64_t t_read_ns;
  };
  std::size_t text_limit_bytes_;
  std::size_t text_bytes_ = 0;
  std::size_t raw_bytes_ = 0;
  std::size_t error_bytes_ = 0;
  std::vector<Unsettled> unsettled_;
  std::vector<std::int32_t> finished_;
  std::unordered_map<std::int32_t, std::string> errors_;
  std::vector<RawEvent> raw_events_;
};

}  // namespace tokenclock
