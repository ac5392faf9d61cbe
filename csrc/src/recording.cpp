#include "tokenclock/recording.h"

#include <limits>

#include "tokenclock/event_json.h"

namespace tokenclock {

void Recording::add_token_event(std::int32_t row, std::int32_t n_tokens, const Arrival& arrival) {
  if (!log.append({arrival.t_ns, arrival.t_read_ns, row, n_tokens})) return;
  const auto i = static_cast<std::size_t>(row);
  if (columns.t_first_token_ns[i] == kMissingNs) set_stamp(columns.t_first_token_ns, row, arrival);
  columns.t_last_token_ns[i] = arrival.t_ns;  // settled through the log: it is the row's last event
  // a server may say any number, and again: the sum stays at the largest a column holds
  constexpr std::int32_t most = std::numeric_limits<std::int32_t>::max();
  std::int32_t& osl = columns.osl_events[i];
  osl = n_tokens > most - osl ? most : osl + n_tokens;
  if (arrival.kernel) ++counts.n_events_kernel;
}

void Recording::set_stamp(ReservedArray<std::int64_t>& column, std::int32_t row, const Arrival& arrival) {
  std::int64_t& stamp = column[static_cast<std::size_t>(row)];
  stamp = arrival.t_ns;
  if (arrival.kernel) unsettled_.push_back({&stamp, arrival.t_read_ns});
}

void Recording::add_text(std::int32_t row, std::string_view escaped) {
  if (texts.texts.empty()) return;
  if (text_bytes_ + escaped.size() > text_limit_bytes_) {
    ++counts.n_texts_dropped;
    return;
  }
  text_bytes_ += escaped.size();
  append_unescaped(escaped, texts.texts[static_cast<std::size_t>(row)]);
}

void Recording::keep_raw(std::int32_t row, const Arrival& arrival, std::string_view data) {
  ++counts.n_unrecognised;
  if (raw_bytes_ + data.size() > kMaxRawEventBytes) {
    ++counts.n_unrecognised_dropped;
    return;
  }
  raw_bytes_ += data.size();
  raw_events_.push_back({row, arrival, std::string(data)});
}

void Recording::set_error(std::int32_t row, std::string_view text) {
  text = text.substr(0, kMaxErrorTextBytes);
  if (error_bytes_ + text.size() > kMaxErrorBytes) return;
  error_bytes_ += text.size();
  errors_[row] = std::string(text);
}

void Recording::settle() {
  unsettled_.clear();
  log.publish();
}

void Recording::settle_after_step() {
  for (const Unsettled& unsettled : unsettled_) *unsettled.stamp = unsettled.t_read_ns;
  for (std::size_t i = log.published(); i < log.size(); ++i) {
    TokenEvent& event = log[i];
    if (event.t_token_ns == event.t_read_ns) continue;
    event.t_token_ns = event.t_read_ns;
    columns.t_last_token_ns[static_cast<std::size_t>(event.row)] = event.t_read_ns;
    --counts.n_events_kernel;
    ++counts.n_events_stepped;
  }
  settle();
}

}  // namespace tokenclock
