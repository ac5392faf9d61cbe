// What each endpoint of the paced server answers.
#include <algorithm>
#include <cmath>

#include "tokenclock/event_json.h"
#include "tokenclock/paced_loop.h"

namespace tokenclock {

namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr std::string_view kJson = "application/json";

std::int32_t share_of(std::int32_t n, double share, std::int32_t at_least) noexcept {
  return std::max(at_least, static_cast<std::int32_t>(std::lround(n * share)));
}

}  // namespace

void PacedLoop::on_request(PacedConnection& connection, const Arrival& arrival) {
  connection.replies.push_back(route(connection, arrival));
  const PacedReply& reply = connection.replies.back();
  if (!reply.is_generation) return;
  counters_.n_requests.fetch_add(1, kRelaxed);
  counters_.n_in_flight.fetch_add(1, kRelaxed);
}

void PacedLoop::on_bad_request(PacedConnection& connection) {
  PacedReply reply;
  reply.keep_alive = false;
  refuse(reply, connection.parser.error_status(), connection.parser.error());
  connection.replies.push_back(std::move(reply));
  connection.draining = true;  // nothing after this can be understood
}

void PacedLoop::refuse(PacedReply& reply, int status, std::string_view message) const {
  reply.kind = PacedReply::Kind::immediate;
  reply.bytes = http_reply(status, kJson, error_body(status, message), reply.keep_alive);
  truth_.set_status(reply.row, status);
}

bool PacedLoop::serves(std::string_view escaped_model) const {
  if (options_.served_models.empty() || escaped_model.empty()) return true;
  std::string name;
  append_unescaped(escaped_model, name);
  return std::find(options_.served_models.begin(), options_.served_models.end(), name) != options_.served_models.end();
}

PacedReply PacedLoop::route(const PacedConnection& connection, const Arrival& arrival) {
  const HttpRequestParser& request = connection.parser;
  const std::string& path = request.path();
  PacedReply reply;
  reply.keep_alive = request.keep_alive();
  const bool chat = path == "/v1/chat/completions";
  if (chat || path == "/v1/completions") {
    if (request.method() == "POST") {
      generation(request, chat, arrival, reply);
    } else {
      refuse(reply, 405, "use POST for " + path);
    }
    return reply;
  }
  const bool known = path == "/v1/models" || path == "/health" || path == "/metrics";
  if (!known) {
    refuse(reply, 404, "no such path: " + path);
  } else if (request.method() != "GET") {
    refuse(reply, 405, "use GET for " + path);
  } else if (path == "/health") {
    reply.bytes = http_reply(200, kJson, R"({"status":"ok"})", reply.keep_alive);
  } else if (path == "/metrics") {
    const PacedFigures figures{counters_.n_requests.load(kRelaxed),
                               counters_.n_prompt_tokens.load(kRelaxed),
                               counters_.n_tokens.load(kRelaxed),
                               static_cast<std::int64_t>(truth_.n_sends()),
                               counters_.n_in_flight.load(kRelaxed),
                               counters_.n_connections.load(kRelaxed),
                               static_cast<double>(counters_.cpu_ns.load(kRelaxed)) * 1e-9};
    reply.bytes = http_reply(200, "text/plain; version=0.0.4", metrics_body(figures), reply.keep_alive);
  } else if (!options_.api_key.empty() && request.authorization() != "Bearer " + options_.api_key) {
    refuse(reply, 401, "the API key is missing or wrong: send Authorization: Bearer KEY");
  } else {
    const std::int64_t created_s = system_clock_source().realtime_ns() / 1'000'000'000;
    reply.bytes = http_reply(200, kJson, models_body(options_, created_s), reply.keep_alive);
  }
  return reply;
}

void PacedLoop::generation(const HttpRequestParser& request, bool chat, const Arrival& arrival, PacedReply& reply) {
  const std::int64_t k = n_generation_requests_++;
  reply.is_generation = true;
  reply.row = truth_.add_request(arrival.t_ns, arrival.by_kernel, arrival.t_read_ns);
  reply.t_arrival_ns = arrival.t_ns;
  if (!options_.api_key.empty() && request.authorization() != "Bearer " + options_.api_key) {
    return refuse(reply, 401, "the API key is missing or wrong: send Authorization: Bearer KEY");
  }
  GenerationRequest asked;
  if (const std::string problem = read_generation_request(request.body(), chat, asked); !problem.empty()) {
    return refuse(reply, 400, problem);
  }
  if (!serves(asked.model)) {
    std::string name;
    append_unescaped(asked.model, name);
    return refuse(reply, 404, "the model `" + name + "` does not exist");
  }
  const std::int32_t n_asked = asked.max_tokens > 0 ? asked.max_tokens : options_.default_output_tokens;
  reply.n_tokens = share_of(n_asked, options_.output_share, 1);
  truth_.set_request(reply.row, asked.prompt_tokens, reply.n_tokens);
  counters_.n_prompt_tokens.fetch_add(asked.prompt_tokens, kRelaxed);

  const FaultRule* fault = fault_of_request(options_, k);
  const bool comments = asked.stream && comments_of_request(options_, k);
  reply.fault = fault == nullptr ? FaultKind::none : fault->kind;
  reply.fault_bits =
      static_cast<std::uint8_t>(static_cast<std::uint8_t>(reply.fault) | (comments ? kFaultCommentsBit : 0));
  truth_.set_fault(reply.row, reply.fault_bits);
  if (reply.fault == FaultKind::status) {
    return refuse(reply, fault->argument,
                  "the paced server was told to answer with status " + std::to_string(fault->argument));
  }
  reply.fault_after = reply.n_tokens / 2;

  ReplyText::Facts facts;
  facts.request = k;
  facts.created_s = system_clock_source().realtime_ns() / 1'000'000'000;
  facts.model = !asked.model.empty()             ? asked.model
                : options_.served_models.empty() ? std::string("paced")
                                                 : json_escaped(options_.served_models.front());
  facts.prompt_tokens = asked.prompt_tokens;
  facts.n_tokens = reply.n_tokens;
  facts.vocab_size = options_.vocab_size;
  facts.chat = chat;
  facts.chunked = !request.is_http_1_0();
  facts.include_usage = asked.include_usage;
  facts.continuous_usage = asked.continuous_usage;
  facts.token_ids = asked.return_token_ids;
  facts.comments = comments;
  facts.stopped = reply.n_tokens < n_asked;
  if (options_.cached_share > 0) facts.cached_tokens = share_of(asked.prompt_tokens, options_.cached_share, 0);
  if (options_.report_iterations) {
    const std::int32_t per_step = options_.tokens_per_event * options_.events_per_send;
    const std::int32_t n_steps = (reply.n_tokens + per_step - 1) / per_step;
    facts.tokens_per_iteration = static_cast<double>(reply.n_tokens) / n_steps;
  }
  reply.text = ReplyText(std::move(facts));
  reply.kind = asked.stream ? PacedReply::Kind::stream : PacedReply::Kind::whole;
  if (asked.stream && request.is_http_1_0()) reply.keep_alive = false;  // only the connection's end can end the stream

  reply.random = PacedRandom(options_.seed, static_cast<std::uint64_t>(k));
  const std::int64_t ttft_ns = options_.mode == PacedMode::flood ? 0 : draw_ns(options_.ttft, reply.random);
  reply.t_due_ns = arrival.t_ns + ttft_ns;
}

}  // namespace tokenclock
