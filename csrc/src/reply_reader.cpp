#include "tokenclock/reply_reader.h"

#include <cmath>

namespace tokenclock {

void ReplyReader::begin(std::int32_t row, const ReplyOptions& options) {
  http_.reset();
  events_.reset();
  meanings_.reset();
  body_.clear();
  body_.shrink_to_fit();
  row_ = row;
  last_completion_tokens_ = 0;
  options_ = options;
  status_ = RequestStatus::not_sent;
  body_kind_ = BodyKind::unknown;
  reusable_ = any_byte_ = saw_token_ = saw_end_ = usage_per_event_ = has_id_ = false;
}

ReplyReader::Progress ReplyReader::fail(RequestStatus status, std::string_view text, Recording& recording) {
  status_ = status;
  reusable_ = false;
  recording.set_error(row_, text);
  return Progress::failed;
}

ReplyReader::Progress ReplyReader::feed(std::string_view bytes, const Arrival& arrival, Recording& recording) {
  const auto row = static_cast<std::size_t>(row_);
  if (!any_byte_) {
    any_byte_ = true;
    recording.set_stamp(recording.columns.t_first_byte_ns, row_, arrival);
  }
  recording.columns.bytes_received[row] += static_cast<std::int64_t>(bytes.size());
  n_events_in_read_ = 0;
  first_token_in_read_ = false;
  for (;;) {
    switch (http_.next(bytes)) {
      case HttpResponseParser::Step::need_more:
        return Progress::more;
      case HttpResponseParser::Step::headers:
        recording.columns.http_status[row] = static_cast<std::int16_t>(http_.status());
        break;
      case HttpResponseParser::Step::body:
        if (!read_body(http_.body(), arrival, recording)) return Progress::failed;
        break;
      case HttpResponseParser::Step::complete:
        // bytes that nobody asked for leave the connection in an unknown state
        reusable_ = http_.keep_alive() && bytes.empty();
        return end_of_reply(arrival, recording);
      case HttpResponseParser::Step::error:
        return fail(RequestStatus::protocol_error, http_.error(), recording);
    }
  }
}

ReplyReader::Progress ReplyReader::closed(std::string_view reason, const Arrival& arrival, Recording& recording) {
  reusable_ = false;
  if (!any_byte_) return fail(RequestStatus::truncated, reason, recording);
  n_events_in_read_ = 0;
  first_token_in_read_ = false;
  if (http_.end_of_stream() == HttpResponseParser::Step::complete) return end_of_reply(arrival, recording);
  // An answer whose finish reason or [DONE] came is whole, even when the last chunk's frame is missing.
  if (body_kind_ == BodyKind::events) {
    const Progress progress = end_of_events(arrival, recording);
    if (status_ == RequestStatus::truncated) recording.set_error(row_, reason);
    return progress;
  }
  return fail(RequestStatus::truncated, reason, recording);
}

bool ReplyReader::read_body(std::string_view body, const Arrival& arrival, Recording& recording) {
  const bool success = http_.status() >= 200 && http_.status() < 300;
  if (body_kind_ == BodyKind::unknown) {
    // Some servers stream under another content type; a JSON object is no event stream.
    const bool events = success && options_.stream && (http_.is_event_stream() || body.front() != '{');
    body_kind_ = events ? BodyKind::events : BodyKind::whole;
  }
  if (body_kind_ == BodyKind::events) {
    // not declared as events: its beginning is kept, to be shown should there be none in it
    if (!http_.is_event_stream() && body_.size() < Recording::kMaxErrorTextBytes)
      body_.append(body.substr(0, Recording::kMaxErrorTextBytes - body_.size()));
    return read_events(body, arrival, recording);
  }
  if (body_.size() + body.size() > kMaxBodyBytes) {
    fail(RequestStatus::protocol_error, "reply body past 16 MiB", recording);
    return false;
  }
  body_.append(body);
  return true;
}

bool ReplyReader::read_events(std::string_view body, const Arrival& arrival, Recording& recording) {
  SseEvent event;
  while (events_.next(body, event)) {
    if (!on_event(event.data, arrival, recording)) return false;
  }
  if (events_.too_large()) {
    fail(RequestStatus::protocol_error, "event past 16 MiB", recording);
    return false;
  }
  return true;
}

std::int32_t ReplyReader::count_tokens(const EventMeaning& meaning, RecordingCounts& counts) {
  if (!saw_token_) usage_per_event_ = meaning.completion_tokens > 0;
  if (usage_per_event_ && meaning.completion_tokens > last_completion_tokens_) {
    ++counts.n_count_usage;
    return meaning.completion_tokens - last_completion_tokens_;
  }
  if (meaning.n_token_ids > 0) {
    ++counts.n_count_ids;
    return meaning.n_token_ids;
  }
  ++counts.n_count_one;
  return 1;
}

void ReplyReader::add_token_event(const EventMeaning& meaning, const Arrival& arrival, Recording& recording) {
  recording.add_token_event(row_, count_tokens(meaning, recording.counts), arrival);
  if (!saw_token_) first_token_in_read_ = true;
  saw_token_ = true;
  ++n_events_in_read_;
  // the stamp is that of the read's last segment: of several events it suits the last one alone
  if (n_events_in_read_ == 2) {
    recording.counts.n_events_coalesced += 2;
    if (first_token_in_read_) ++recording.counts.n_first_tokens_coalesced;
  } else if (n_events_in_read_ > 2) {
    ++recording.counts.n_events_coalesced;
  }
}

void ReplyReader::note_meaning(const EventMeaning& meaning, std::string_view data, Recording& recording) {
  const auto row = static_cast<std::size_t>(row_);
  RequestColumns& columns = recording.columns;
  if (!has_id_ && !meaning.id.empty()) {
    std::string& id = recording.texts.ids[row];
    if (id.empty()) append_unescaped(meaning.id, id);
    has_id_ = true;
  }
  if (meaning.finish_reason != FinishReason::none) {
    columns.finish_reason[row] = static_cast<std::uint8_t>(meaning.finish_reason);
    saw_end_ = true;
  }
  if (meaning.prompt_tokens >= 0) columns.isl_server[row] = meaning.prompt_tokens;
  if (meaning.cached_tokens >= 0) columns.cached_tokens[row] = meaning.cached_tokens;
  if (meaning.completion_tokens >= 0) {
    columns.osl_server[row] = last_completion_tokens_ = meaning.completion_tokens;
    if (options_.keep_final_event) recording.texts.final_events[row].assign(data);
  }
  if (!std::isnan(meaning.avg_decoded_tokens_per_iter))
    columns.tokens_per_iteration[row] = meaning.avg_decoded_tokens_per_iter;
}

bool ReplyReader::on_event(std::string_view data, const Arrival& arrival, Recording& recording) {
  if (data.empty()) return true;  // a keep-alive of servers that do not know comments
  const EventMeaning& meaning = meanings_.read(data);
  switch (meaning.kind) {
    case EventKind::done:
      saw_end_ = true;
      return true;
    case EventKind::error:
      fail(RequestStatus::stream_error, meaning.error, recording);
      return false;
    case EventKind::unrecognised:
      recording.keep_raw(row_, arrival, data);
      return true;
    case EventKind::token:
      add_token_event(meaning, arrival, recording);
      if (options_.keep_text) {
        recording.add_text(row_, meaning.reasoning);
        recording.add_text(row_, meaning.text);
      }
      break;
    case EventKind::empty:
      break;
  }
  note_meaning(meaning, data, recording);
  return true;
}

ReplyReader::Progress ReplyReader::end_of_reply(const Arrival& arrival, Recording& recording) {
  if (http_.status() < 200 || http_.status() >= 300) {
    const Progress progress = reusable_ ? Progress::complete : Progress::failed;
    status_ = RequestStatus::http_error;
    recording.set_error(row_, body_);
    return progress;
  }
  return body_kind_ == BodyKind::events ? end_of_events(arrival, recording) : end_of_whole(arrival, recording);
}

ReplyReader::Progress ReplyReader::end_of_events(const Arrival& arrival, Recording& recording) {
  SseEvent event;
  if (events_.finish(event) && !on_event(event.data, arrival, recording)) return Progress::failed;
  if (!saw_end_ && !saw_token_ && !body_.empty()) {
    return fail(RequestStatus::protocol_error, "no event stream but: " + body_, recording);
  }
  if (!saw_end_) {
    status_ = RequestStatus::truncated;
    recording.set_error(row_, "the stream ended before a finish reason");
  } else {
    status_ = RequestStatus::ok;
  }
  return Progress::complete;
}

ReplyReader::Progress ReplyReader::end_of_whole(const Arrival& arrival, Recording& recording) {
  const EventMeaning meaning = read_event(body_);
  switch (meaning.kind) {
    case EventKind::error:
      status_ = RequestStatus::stream_error;
      recording.set_error(row_, meaning.error);
      return Progress::complete;
    case EventKind::done:
    case EventKind::unrecognised:
      return fail(RequestStatus::protocol_error, body_.empty() ? "empty reply" : body_, recording);
    case EventKind::token:
      recording.set_stamp(recording.columns.t_last_token_ns, row_, arrival);
      if (options_.keep_text) {
        recording.add_text(row_, meaning.reasoning);
        recording.add_text(row_, meaning.text);
      }
      break;
    case EventKind::empty:
      break;
  }
  note_meaning(meaning, body_, recording);
  status_ = RequestStatus::ok;
  return Progress::complete;
}

}  // namespace tokenclock
