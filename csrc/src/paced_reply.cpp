#include "tokenclock/paced_reply.h"

#include <array>
#include <charconv>
#include <cstdio>
#include <utility>

namespace tokenclock {

namespace {

constexpr std::string_view kFingerprint = "tokenclock-paced-server";

std::string_view reason(int status) noexcept {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 413:
      return "Content Too Large";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Error";
  }
}

std::string_view error_type(int status) noexcept {
  switch (status) {
    case 401:
      return "authentication_error";
    case 404:
      return "not_found_error";
    case 429:
      return "rate_limit_error";
    default:
      return status < 500 ? "invalid_request_error" : "server_error";
  }
}

void append_number(std::string& out, std::int64_t value, int base = 10) {
  std::array<char, 24> digits;
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), value, base);
  static_cast<void>(error);  // 24 characters hold every 64-bit number
  out.append(digits.data(), end);
}

void append_number(std::string& out, double value) {
  std::array<char, 32> digits;
  const int n = std::snprintf(digits.data(), digits.size(), "%.6g", value);
  out.append(digits.data(), static_cast<std::size_t>(n));
}

}  // namespace

std::string json_escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      std::array<char, 8> code;
      std::snprintf(code.data(), code.size(), "\\u%04x", static_cast<unsigned>(c));
      out += code.data();
    } else {
      out += c;
    }
  }
  return out;
}

std::string http_reply(int status, std::string_view content_type, std::string_view body, bool keep_alive) {
  std::string out = "HTTP/1.1 ";
  append_number(out, std::int64_t{status});
  out.append(" ").append(reason(status)).append("\r\nServer: tokenclock\r\nContent-Type: ").append(content_type);
  if (status == 401) out += "\r\nWWW-Authenticate: Bearer";
  out += "\r\nContent-Length: ";
  append_number(out, static_cast<std::int64_t>(body.size()));
  out += keep_alive ? "\r\n\r\n" : "\r\nConnection: close\r\n\r\n";
  return out.append(body);
}

std::string error_body(int status, std::string_view message) {
  std::string out = R"({"error":{"message":")" + json_escaped(message) + R"(","type":")";
  out.append(error_type(status)).append(R"(","param":null,"code":)");
  append_number(out, std::int64_t{status});
  return out += "}}";
}

std::string models_body(const PacedOptions& options, std::int64_t created_s) {
  std::string out = R"({"object":"list","data":[)";
  const std::vector<std::string> any{"paced"};
  for (const std::string& name : options.served_models.empty() ? any : options.served_models) {
    if (out.back() != '[') out += ',';
    out += R"({"id":")" + json_escaped(name) + R"(","object":"model","created":)";
    append_number(out, created_s);
    out += R"(,"owned_by":"tokenclock","meta":{"n_vocab":)";
    append_number(out, std::int64_t{options.vocab_size});
    out += "}}";
  }
  return out += "]}";
}

std::string metrics_body(const PacedFigures& figures) {
  std::string out;
  const auto add = [&out](std::string_view name, std::string_view type, std::string_view help, auto value) {
    out.append("# HELP tokenclock_paced_").append(name).append(" ").append(help);
    out.append("\n# TYPE tokenclock_paced_").append(name).append(" ").append(type);
    out.append("\ntokenclock_paced_").append(name).append(" ");
    append_number(out, value);
    out += '\n';
  };
  add("requests_total", "counter", "Generation requests received.", figures.n_requests);
  add("prompt_tokens_total", "counter", "Prompt tokens of those requests.", figures.n_prompt_tokens);
  add("generated_tokens_total", "counter", "Tokens emitted.", figures.n_tokens);
  add("sends_total", "counter", "Sends made for generation requests.", figures.n_sends);
  add("requests_in_flight", "gauge", "Generation requests received and not yet answered.", figures.n_in_flight);
  add("connections", "gauge", "Open connections.", figures.n_connections);
  add("cpu_seconds_total", "counter", "CPU time of the serving thread.", figures.cpu_s);
  return out;
}

ReplyText::ReplyText(Facts facts) : facts_(std::move(facts)) {
  opening_ = R"({"id":"paced-)";
  append_number(opening_, facts_.request);
  opening_ +=
      facts_.chat ? R"(","object":"chat.completion.chunk","created":)" : R"(","object":"text_completion","created":)";
  append_number(opening_, facts_.created_s);
  opening_ += R"(,"model":")" + facts_.model + R"(","system_fingerprint":")";
  opening_.append(kFingerprint).append(R"(","choices":[)");
}

void ReplyText::append_head(std::string& out, bool keep_alive) const {
  out +=
      "HTTP/1.1 200 OK\r\nServer: tokenclock\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: "
      "no-cache\r\n";
  if (facts_.chunked) out += "Transfer-Encoding: chunked\r\n";
  out += keep_alive ? "\r\n" : "Connection: close\r\n\r\n";
}

void ReplyText::append_event(std::string& out, std::string_view payload) const {
  constexpr std::string_view kComment = ": paced comment\n\nevent: message\nid: 1\n";
  const std::string_view extra = facts_.comments ? kComment : std::string_view();
  if (facts_.chunked) {
    append_number(out, static_cast<std::int64_t>(extra.size() + payload.size() + 8), 16);
    out += "\r\n";
  }
  out.append(extra).append("data: ").append(payload).append("\n\n");
  if (facts_.chunked) out += "\r\n";
}

// Words of one width, " w0000" to " w9999" and round again, so that the words of an answer are its tokens.
void ReplyText::append_words(std::string& out, std::int32_t first_token, std::int32_t n_tokens) const {
  for (std::int32_t i = first_token; i < first_token + n_tokens; ++i) {
    std::array<char, 6> word{' ', 'w', '0', '0', '0', '0'};
    for (std::int32_t rest = i % 10'000, at = 5; rest > 0; rest /= 10, --at) {
      word[static_cast<std::size_t>(at)] = static_cast<char>('0' + rest % 10);
    }
    out.append(word.data(), word.size());
  }
}

void ReplyText::append_finish(std::string& out, bool last) const {
  out += !last            ? R"("finish_reason":null)"
         : facts_.stopped ? R"("finish_reason":"stop")"
                          : R"("finish_reason":"length")";
  if (last && facts_.tokens_per_iteration > 0) {
    out += R"(,"avg_decoded_tokens_per_iter":)";
    append_number(out, facts_.tokens_per_iteration);
  }
}

void ReplyText::append_usage(std::string& out, std::int32_t n_tokens) const {
  out += R"({"prompt_tokens":)";
  append_number(out, std::int64_t{facts_.prompt_tokens});
  out += R"(,"completion_tokens":)";
  append_number(out, std::int64_t{n_tokens});
  out += R"(,"total_tokens":)";
  append_number(out, std::int64_t{facts_.prompt_tokens} + n_tokens);
  if (facts_.cached_tokens >= 0) {
    out += R"(,"prompt_tokens_details":{"cached_tokens":)";
    append_number(out, std::int64_t{facts_.cached_tokens});
    out += '}';
  }
  out += '}';
}

void ReplyText::append_role(std::string& out) const {
  if (!facts_.chat) return;
  append_event(
      out,
      opening_ +
          R"({"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"usage":null})");
}

void ReplyText::append_content(std::string& out, std::int32_t first_token, std::int32_t n_tokens) const {
  std::string payload;
  payload.reserve(opening_.size() + 192 + 6 * static_cast<std::size_t>(n_tokens));
  payload += opening_;
  payload += facts_.chat ? R"({"index":0,"delta":{"content":")" : R"({"index":0,"text":")";
  append_words(payload, first_token, n_tokens);
  payload += facts_.chat ? R"("},"logprobs":null,)" : R"(","logprobs":null,)";
  // a completion's last text brings the finish reason with it; a chat has a delta of its own for that
  append_finish(payload, !facts_.chat && first_token + n_tokens >= facts_.n_tokens);
  if (facts_.token_ids) {
    payload += R"(,"token_ids":[)";
    for (std::int32_t i = first_token; i < first_token + n_tokens; ++i) {
      if (i > first_token) payload += ',';
      append_number(payload, (facts_.request * 7919 + i) % facts_.vocab_size);
    }
    payload += ']';
  }
  payload += R"(}],"usage":)";
  if (facts_.continuous_usage) {
    append_usage(payload, first_token + n_tokens);
  } else {
    payload += "null";
  }
  append_event(out, payload += '}');
}

void ReplyText::append_garbage(std::string& out) const {
  append_event(out, R"({"id":"paced-garbage","choices":[{"te)");
}

void ReplyText::append_error(std::string& out) const {
  append_event(out, error_body(500, "the paced server was told to fail here"));
}

void ReplyText::append_tail(std::string& out) const {
  if (facts_.chat) {
    std::string payload = opening_ + R"({"index":0,"delta":{},"logprobs":null,)";
    append_finish(payload, true);
    append_event(out, payload += R"(}],"usage":null})");
  }
  if (facts_.include_usage) {
    std::string payload = opening_ + R"(],"usage":)";
    append_usage(payload, facts_.n_tokens);
    append_event(out, payload += '}');
  }
  append_event(out, "[DONE]");
}

void ReplyText::append_end(std::string& out) const {
  if (facts_.chunked) out += "0\r\n\r\n";
}

std::string ReplyText::whole_body() const {
  std::string out = R"({"id":"paced-)";
  append_number(out, facts_.request);
  out += facts_.chat ? R"(","object":"chat.completion","created":)" : R"(","object":"text_completion","created":)";
  append_number(out, facts_.created_s);
  out += R"(,"model":")" + facts_.model + R"(","system_fingerprint":")";
  out.append(kFingerprint).append(R"(","choices":[{"index":0,)");
  out += facts_.chat ? R"("message":{"role":"assistant","content":")" : R"("text":")";
  append_words(out, 0, facts_.n_tokens);
  out += facts_.chat ? R"("},"logprobs":null,)" : R"(","logprobs":null,)";
  append_finish(out, true);
  out += R"(}],"usage":)";
  append_usage(out, facts_.n_tokens);
  return out += '}';
}

}  // namespace tokenclock
