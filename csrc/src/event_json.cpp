#include "tokenclock/event_json.h"

#include <charconv>
#include <cstdlib>

#include "json_scanner.h"

namespace tokenclock {

namespace {

using detail::JsonScanner;

constexpr std::string_view kBlanks = " \t\r\n";

// Each object is read into a value of its own and each member overwrites what an earlier one of its name left: of
// duplicate keys the last wins at every level, as in Python's json. `is_odd` marks a value of a type we do not know.
// Every read_* stands at the first byte of a value and returns false where it is not JSON.

struct Text {
  std::string_view inside;
  bool is_odd = false;
};

bool read_text(JsonScanner& json, Text& out) {
  out = {};
  if (json.peek() == '"') return json.read_string(out.inside);
  out.is_odd = json.peek() != 'n';
  return json.skip_value();
}

bool read_count(JsonScanner& json, std::int32_t& out) {
  out = -1;
  const char first = json.peek();
  if (first != '-' && (first < '0' || first > '9')) return json.skip_value();
  std::string_view text;
  bool is_integer = false;
  if (!json.read_number(text, is_integer)) return false;
  std::int32_t value = -1;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (is_integer && parsed.ec == std::errc() && value >= 0) out = value;
  return true;
}

bool read_double(JsonScanner& json, double& out) {
  out = std::numeric_limits<double>::quiet_NaN();
  const char first = json.peek();
  if (first != '-' && (first < '0' || first > '9')) return json.skip_value();
  std::string_view text;
  bool is_integer = false;
  if (!json.read_number(text, is_integer)) return false;
  double value = 0;
#if defined(__cpp_lib_to_chars)
  const bool is_read = std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc();
#else  // a standard library without from_chars for double: a copy that strtod can end at
  char copy[64] = {};
  const bool is_read = text.size() < sizeof copy;
  if (is_read) {
    std::memcpy(copy, text.data(), text.size());
    value = std::strtod(copy, nullptr);
  }
#endif
  if (is_read) out = value;
  return true;
}

// The length of a list; -1 for anything else.
bool read_length(JsonScanner& json, std::int32_t& out) {
  out = -1;
  if (json.peek() != '[') return json.skip_value();
  std::int32_t n = 0;
  if (!json.read_elements([&] { return ++n, json.skip_value(); })) return false;
  out = n;
  return true;
}

struct Function {
  Text name;
  Text arguments;
  bool is_odd = false;

  [[nodiscard]] bool has_content() const { return !name.inside.empty() || !arguments.inside.empty(); }
  [[nodiscard]] bool has_odd() const { return is_odd || name.is_odd || arguments.is_odd; }
};

bool read_function(JsonScanner& json, Function& out) {
  out = {};
  if (json.peek() != '{') {
    out.is_odd = json.peek() != 'n';
    return json.skip_value();
  }
  return json.read_members([&](std::string_view key) {
    if (key == "name") return read_text(json, out.name);
    if (key == "arguments") return read_text(json, out.arguments);
    return json.skip_value();
  });
}

struct ToolCalls {
  bool has_content = false;
  bool is_odd = false;
};

bool read_tool_calls(JsonScanner& json, ToolCalls& out) {
  out = {};
  if (json.peek() != '[') {
    out.is_odd = json.peek() != 'n';
    return json.skip_value();
  }
  return json.read_elements([&] {
    if (json.peek() != '{') {
      out.is_odd = true;
      return json.skip_value();
    }
    Function function;
    const bool is_json = json.read_members(
        [&](std::string_view key) { return key == "function" ? read_function(json, function) : json.skip_value(); });
    out.has_content |= function.has_content();
    out.is_odd |= function.has_odd();
    return is_json;
  });
}

// `delta` of a stream, `message` of a whole reply.
struct Message {
  Text content;
  Text refusal;
  Text reasoning_content;
  Text reasoning;
  ToolCalls tool_calls;
  Function function_call;  // what tool_calls replaced
  bool is_odd = false;

  [[nodiscard]] bool has_odd() const {
    return is_odd || content.is_odd || refusal.is_odd || reasoning_content.is_odd || reasoning.is_odd ||
           tool_calls.is_odd || function_call.has_odd();
  }
};

bool read_message(JsonScanner& json, Message& out) {
  out = {};
  if (json.peek() != '{') {
    out.is_odd = json.peek() != 'n';
    return json.skip_value();
  }
  return json.read_members([&](std::string_view key) {
    if (key == "content") return read_text(json, out.content);
    if (key == "reasoning_content") return read_text(json, out.reasoning_content);
    if (key == "reasoning") return read_text(json, out.reasoning);
    if (key == "tool_calls") return read_tool_calls(json, out.tool_calls);
    if (key == "function_call") return read_function(json, out.function_call);
    if (key == "refusal") return read_text(json, out.refusal);
    return json.skip_value();
  });
}

bool read_finish_reason(JsonScanner& json, FinishReason& out) {
  out = FinishReason::none;
  Text text;
  if (!read_text(json, text)) return false;
  char decoded[48];
  const std::string_view reason = JsonScanner::unescaped(text.inside, decoded, sizeof decoded);
  if (reason == "stop") {
    out = FinishReason::stop;
  } else if (reason == "length") {
    out = FinishReason::length;
  } else if (reason == "tool_calls" || reason == "function_call") {
    out = FinishReason::tool_calls;
  } else if (reason == "content_filter") {
    out = FinishReason::content_filter;
  } else if (!text.inside.empty()) {
    out = FinishReason::other;
  }
  return true;
}

struct Choice {
  Text text;
  Message delta;
  Message message;
  FinishReason finish_reason = FinishReason::none;
  std::int32_t n_token_ids = -1;
  std::int32_t n_logprobs = -1;
  double tokens_per_iteration = std::numeric_limits<double>::quiet_NaN();
};

bool read_logprobs(JsonScanner& json, std::int32_t& out) {
  out = -1;
  if (json.peek() != '{') return json.skip_value();
  std::int32_t n_tokens = -1;   // completions
  std::int32_t n_content = -1;  // chat
  const bool is_json = json.read_members([&](std::string_view key) {
    if (key == "tokens") return read_length(json, n_tokens);
    if (key == "content") return read_length(json, n_content);
    return json.skip_value();
  });
  out = n_tokens >= 0 ? n_tokens : n_content;
  return is_json;
}

bool read_choice(JsonScanner& json, Choice& out) {
  return json.read_members([&](std::string_view key) {
    if (key == "text") return read_text(json, out.text);
    if (key == "delta") return read_message(json, out.delta);
    if (key == "message") return read_message(json, out.message);
    if (key == "finish_reason") return read_finish_reason(json, out.finish_reason);
    if (key == "token_ids") return read_length(json, out.n_token_ids);
    if (key == "logprobs") return read_logprobs(json, out.n_logprobs);
    if (key == "avg_decoded_tokens_per_iter") return read_double(json, out.tokens_per_iteration);
    return json.skip_value();
  });
}

// What the list of choices adds up to; the fields of EventMeaning that come from it are in `sum`.
struct Choices {
  EventMeaning sum;
  bool is_list = false;
  bool is_absent = true;
  bool has_content = false;
  bool has_odd = false;
};

std::string_view first_filled(std::string_view a, std::string_view b) { return a.empty() ? b : a; }

void add_choice(const Choice& choice, bool is_first, Choices& out) {
  std::string_view text = choice.text.inside;
  std::string_view reasoning;
  for (const Message* part : {&choice.delta, &choice.message}) {
    text = first_filled(text, first_filled(part->content.inside, part->refusal.inside));
    reasoning = first_filled(reasoning, first_filled(part->reasoning_content.inside, part->reasoning.inside));
    out.sum.has_tool_call |= part->tool_calls.has_content || part->function_call.has_content();
    out.has_odd |= part->has_odd();
  }
  out.has_odd |= choice.text.is_odd;
  out.sum.has_text |= !text.empty();
  out.sum.has_reasoning |= !reasoning.empty();
  out.has_content |= out.sum.has_text || out.sum.has_reasoning || out.sum.has_tool_call || choice.n_token_ids > 0;
  if (out.sum.finish_reason == FinishReason::none) out.sum.finish_reason = choice.finish_reason;
  if (choice.tokens_per_iteration == choice.tokens_per_iteration) {
    out.sum.avg_decoded_tokens_per_iter = choice.tokens_per_iteration;
  }
  if (!is_first) return;
  out.sum.text = text;
  out.sum.reasoning = reasoning;
  out.sum.n_token_ids = choice.n_token_ids >= 0 ? choice.n_token_ids : choice.n_logprobs;
}

bool read_choices(JsonScanner& json, Choices& out) {
  out = {};
  out.is_absent = false;
  if (json.peek() != '[') return json.skip_value();
  out.is_list = true;
  bool is_first = true;
  return json.read_elements([&] {
    Choice choice;
    if (json.peek() != '{') {
      out.has_odd = true;
      is_first = false;
      return json.skip_value();
    }
    if (!read_choice(json, choice)) return false;
    add_choice(choice, is_first, out);
    is_first = false;
    return true;
  });
}

struct Usage {
  bool is_object = false;
  std::int32_t prompt_tokens = -1;
  std::int32_t completion_tokens = -1;
  std::int32_t cached_tokens = -1;
};

bool read_usage(JsonScanner& json, Usage& out) {
  out = {};
  if (json.peek() != '{') return json.skip_value();
  out.is_object = true;
  return json.read_members([&](std::string_view key) {
    if (key == "prompt_tokens") return read_count(json, out.prompt_tokens);
    if (key == "completion_tokens") return read_count(json, out.completion_tokens);
    if (key != "prompt_tokens_details") return json.skip_value();
    out.cached_tokens = -1;
    if (json.peek() != '{') return json.skip_value();
    return json.read_members([&](std::string_view detail) {
      return detail == "cached_tokens" ? read_count(json, out.cached_tokens) : json.skip_value();
    });
  });
}

bool read_raw(JsonScanner& json, std::string_view& out) {
  const char* const begin = json.position();
  if (!json.skip_value()) return false;
  out = std::string_view(begin, static_cast<std::size_t>(json.position() - begin));
  return true;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin);
}

}  // namespace

EventMeaning read_event(std::string_view data) noexcept {
  data = trimmed(data);
  EventMeaning out;
  if (data == "[DONE]") {
    out.kind = EventKind::done;
    return out;
  }
  if (data.empty() || data.front() != '{') return out;

  Choices choices;
  Usage usage;
  Text id;
  Text object;
  std::string_view error;
  JsonScanner json(data);
  const bool is_json = json.read_members([&](std::string_view key) {
    if (key == "choices") return read_choices(json, choices);
    if (key == "usage") return read_usage(json, usage);
    if (key == "id") return read_text(json, id);
    if (key == "object") return read_text(json, object);
    if (key == "error") return read_raw(json, error);
    return json.skip_value();
  });
  if (!is_json || !json.at_end()) return out;

  out = choices.sum;
  out.id = id.inside;
  out.prompt_tokens = usage.prompt_tokens;
  out.completion_tokens = usage.completion_tokens;
  out.cached_tokens = usage.cached_tokens;
  const bool is_no_error = error.empty() || error == "null" || error == "false" || error == "\"\"";
  char decoded[48];
  if (!is_no_error) {
    out.kind = EventKind::error;
    out.error = error;
  } else if (JsonScanner::unescaped(object.inside, decoded, sizeof decoded) == "error") {
    out.kind = EventKind::error;
    out.error = data;
  } else if (choices.has_content) {
    out.kind = EventKind::token;
  } else if (!choices.has_odd && (choices.is_list || (choices.is_absent && usage.is_object))) {
    out.kind = EventKind::empty;
  }
  return out;
}

}  // namespace tokenclock
