#include "tokenclock/event_reader.h"

#include "json_scanner.h"

namespace tokenclock {

const EventMeaning& EventReader::read(std::string_view data) {
  if (read_alike(data)) return meaning_;
  meaning_ = read_event(data);
  learn(data);
  return meaning_;
}

void EventReader::reset() {
  std::string().swap(pattern_);
  meaning_ = {};
}

bool EventReader::read_alike(std::string_view data) noexcept {
  if (pattern_.empty()) return false;
  const std::string_view pattern = pattern_;
  const std::string_view front = pattern.substr(0, begin_);  // up to and with the opening quote
  const std::string_view back = pattern.substr(end_);
  if (data.size() <= front.size() + back.size() || !data.starts_with(front)) return false;
  detail::JsonScanner json(data.substr(begin_ - 1));
  std::string_view inside;
  if (!json.read_string(inside) || inside.empty() || data.substr(begin_ + inside.size()) != back) return false;
  (varies_in_text_ ? meaning_.text : meaning_.reasoning) = inside;
  return true;
}

void EventReader::learn(std::string_view data) {
  const bool has_text = !meaning_.text.empty();
  const std::string_view varying = has_text ? meaning_.text : meaning_.reasoning;
  if (meaning_.kind != EventKind::token || varying.empty() || data.size() > kMaxPatternBytes) {
    pattern_.clear();
    return;
  }
  varies_in_text_ = has_text;
  begin_ = static_cast<std::size_t>(varying.data() - data.data());
  end_ = begin_ + varying.size();
  pattern_.assign(data);
  for (std::string_view* view : {&meaning_.id, &meaning_.text, &meaning_.reasoning}) {
    if (!view->empty())
      *view = std::string_view(pattern_).substr(static_cast<std::size_t>(view->data() - data.data()), view->size());
  }
}

}  // namespace tokenclock
