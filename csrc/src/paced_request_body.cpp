#include "tokenclock/paced_request_body.h"

#include <charconv>
#include <cstddef>
#include <utility>

#include "json_scanner.h"

namespace tokenclock {

namespace {

// Words of a JSON string's inside: what lies between blanks, the escaped ones included.
std::int32_t count_words(std::string_view inside) {
  std::int32_t n_words = 0;
  bool in_word = false;
  for (std::size_t i = 0; i < inside.size(); ++i) {
    bool blank = inside[i] == ' ';
    if (inside[i] == '\\' && i + 1 < inside.size()) {
      ++i;
      blank = inside[i] == 'n' || inside[i] == 't' || inside[i] == 'r' || inside[i] == 'f';
    }
    if (!blank && !in_word) ++n_words;
    in_word = !blank;
  }
  return n_words;
}

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

// Of duplicate keys the last wins, as in Python's json: each count starts anew.
class RequestReader {
 public:
  RequestReader(std::string_view body, bool chat, GenerationRequest& request)
      : scanner_(body), chat_(chat), request_(request) {}

  std::string read() {
    scanner_.skip_space();
    const bool is_object =
        scanner_.peek() == '{' && scanner_.read_members([&](std::string_view key) { return member(key); });
    if (!problem_.empty()) return problem_;
    scanner_.skip_space();
    if (!is_object || !scanner_.at_end()) return "the body is not a JSON object";
    if (!has_prompt_) return chat_ ? "messages is missing" : "prompt is missing";
    return {};
  }

 private:
  bool refuse(std::string problem) {
    problem_ = std::move(problem);
    return false;
  }
  bool null() { return scanner_.peek() == 'n' && scanner_.skip_value(); }

  bool member(std::string_view key) {
    if (key == "model") return model();
    if (key == "prompt" && !chat_) return (has_prompt_ = true) && prompt();
    if (key == "messages" && chat_) return (has_prompt_ = true) && messages();
    if (key == "max_completion_tokens" || key == "max_tokens") return output_limit(key);
    if (key == "stream") return flag(key, request_.stream);
    if (key == "return_token_ids") return flag(key, request_.return_token_ids);
    if (key == "stream_options") return stream_options();
    if (key == "n" || key == "best_of") return single(key);
    return scanner_.skip_value();
  }

  bool model() {
    std::string_view name;
    if (scanner_.peek() != '"') return refuse("model must be a string");
    if (!scanner_.read_string(name)) return false;
    request_.model = name;
    return true;
  }

  bool flag(std::string_view key, bool& value) {
    if (null()) return true;
    const char first = scanner_.peek();
    if (first != 't' && first != 'f') return refuse(std::string(key) + " must be true or false");
    value = first == 't';
    return scanner_.skip_value();
  }

  bool stream_options() {
    if (null()) return true;
    if (scanner_.peek() != '{') return refuse("stream_options must be an object");
    return scanner_.read_members([&](std::string_view key) {
      if (key == "include_usage") return flag(key, request_.include_usage);
      if (key == "continuous_usage_stats") return flag(key, request_.continuous_usage);
      return scanner_.skip_value();
    });
  }

  bool whole_number(std::string_view key, std::int64_t& value) {
    std::string_view digits;
    bool is_integer = false;
    if (!is_digit(scanner_.peek()) && scanner_.peek() != '-') {
      return refuse(std::string(key) + " must be a whole number");
    }
    if (!scanner_.read_number(digits, is_integer)) return false;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (!is_integer || error != std::errc{} || end != digits.data() + digits.size()) {
      return refuse(std::string(key) + " must be a whole number, got " + std::string(digits));
    }
    return true;
  }

  // The newer name of the limit wins over the older one, in whichever order they come.
  bool output_limit(std::string_view key) {
    if (null()) return true;
    std::int64_t value = 0;
    if (!whole_number(key, value)) return false;
    if (value < 1 || value > GenerationRequest::kMaxOutputTokens) {
      return refuse(std::string(key) + " must be 1.." + std::to_string(GenerationRequest::kMaxOutputTokens) + ", got " +
                    std::to_string(value));
    }
    const bool newer = key == "max_completion_tokens";
    if (newer || !has_newer_limit_) request_.max_tokens = static_cast<std::int32_t>(value);
    has_newer_limit_ = has_newer_limit_ || newer;
    return true;
  }

  bool single(std::string_view key) {
    if (null()) return true;
    std::int64_t value = 0;
    if (!whole_number(key, value)) return false;
    return value == 1 || refuse(std::string(key) + " must be 1, got " + std::to_string(value));
  }

  // "text", [ids], ["text"] or [[ids]]
  bool prompt() {
    request_.prompt_tokens = 0;
    if (scanner_.peek() == '"') return text();
    if (scanner_.peek() != '[') return refuse("prompt must be a text or a list of token ids");
    bool nested = false;
    return scanner_.read_elements([&] {
      const char first = scanner_.peek();
      if (nested || ((first == '"' || first == '[') && request_.prompt_tokens > 0)) {
        return refuse("one prompt per request, got several");
      }
      nested = first == '"' || first == '[';
      if (first == '"') return text();
      return first == '[' ? scanner_.read_elements([&] { return token_id(); }) : token_id();
    });
  }

  bool token_id() {
    std::int64_t id = 0;
    if (!whole_number("a token id", id)) return false;
    if (id < 0) return refuse("a token id must be >= 0, got " + std::to_string(id));
    ++request_.prompt_tokens;
    return true;
  }

  bool text() {
    std::string_view inside;
    if (!scanner_.read_string(inside)) return false;
    request_.prompt_tokens += count_words(inside);
    return true;
  }

  bool messages() {
    request_.prompt_tokens = 0;
    if (scanner_.peek() != '[') return refuse("messages must be a list");
    bool any = false;
    const bool is_list = scanner_.read_elements([&] {
      any = true;
      if (scanner_.peek() != '{') return refuse("a message must be an object with role and content");
      const std::int32_t n_before = request_.prompt_tokens;
      return scanner_.read_members([&](std::string_view key) {
        if (key != "content") return scanner_.skip_value();
        request_.prompt_tokens = n_before;
        return content();
      });
    });
    return is_list && (any || refuse("messages must not be empty"));
  }

  // "text", null, or a list of parts of which those with a text count
  bool content() {
    if (null()) return true;
    if (scanner_.peek() == '"') return text();
    if (scanner_.peek() != '[') return refuse("content must be a text or a list of parts");
    return scanner_.read_elements([&] {
      if (scanner_.peek() != '{') return refuse("a part of content must be an object");
      const std::int32_t n_before = request_.prompt_tokens;
      return scanner_.read_members([&](std::string_view key) {
        if (key != "text") return scanner_.skip_value();
        request_.prompt_tokens = n_before;
        return scanner_.peek() == '"' ? text() : scanner_.skip_value();
      });
    });
  }

  detail::JsonScanner scanner_;
  bool chat_;
  GenerationRequest& request_;
  bool has_prompt_ = false;
  bool has_newer_limit_ = false;
  std::string problem_;
};

}  // namespace

std::string read_generation_request(std::string_view body, bool chat, GenerationRequest& request) {
  request = {};
  return RequestReader(body, chat, request).read();
}

}  // namespace tokenclock
