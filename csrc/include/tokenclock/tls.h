// TLS as bytes in, bytes out: knows no socket, so that whoever reads the socket keeps its receive stamps. The library
// behind it is looked for at run time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tokenclock {

// What was loaded, such as "OpenSSL 3.0.15 3 Sep 2024"; empty when there is none. Loads it at the first call.
[[nodiscard]] const std::string& tls_library();
// Why there is none and what to install; empty when there is one.
[[nodiscard]] const std::string& tls_problem();

struct TlsClientOptions {
  std::string host;         // name or numeric address that the certificate must be for; a name is told to the server
  bool verify = true;       // false: any certificate of anybody
  std::string ca_file;      // PEM; empty: the system's store, which SSL_CERT_FILE and SSL_CERT_DIR replace
  std::string certificate;  // PEM chain to show to a server that asks; empty: none
  std::string key;          // PEM; empty: the key is in `certificate`
};

struct TlsServerOptions {
  std::string certificate;  // PEM chain
  std::string key;          // PEM; empty: the key is in `certificate`
  std::string client_ca;    // PEM; every client must show a certificate of this authority; empty: none is asked for
};

// What all sessions of a client or a server share. Immutable: any thread.
class TlsContext {
 public:
  // Both throw std::invalid_argument with one line: no library, a file that cannot be read or does not fit.
  [[nodiscard]] static std::shared_ptr<const TlsContext> client(const TlsClientOptions& options);
  [[nodiscard]] static std::shared_ptr<const TlsContext> server(const TlsServerOptions& options);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

 private:
  friend class TlsSession;
  explicit TlsContext(bool is_server);
  void use_certificate(const std::string& certificate, const std::string& key);

  bool is_server_;
  void* context_;          // SSL_CTX
  std::string host_name_;  // for the server's choice of certificate; empty for an address
};

// One connection. One thread at a time.
class TlsSession {
 public:
  enum class State : std::uint8_t {
    handshake,
    open,
    closed,  // the peer ended TLS: nothing more comes
    failed,  // problem() says why
  };
  static constexpr std::size_t kRecordBytes = 16 * 1024;  // of plaintext, at most

  // `context` outlives it. Throws std::bad_alloc.
  explicit TlsSession(const TlsContext& context);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  // A client says hello; a server waits for it.
  void start();
  // Takes all of `wire`, as it came from the peer, and returns the plaintext that it completes: it lies in `scratch`,
  // which grows as needed. unsent() may have grown as well.
  std::string_view receive(std::string_view wire, std::vector<char>& scratch);
  // Appends `plain` to unsent(), as records. Only in state open.
  void send(std::string_view plain);
  // Appends the end of TLS in our direction to unsent(), where there is anything to end.
  void close();

  // What is to be written to the socket, and that its first n bytes were.
  [[nodiscard]] std::string_view unsent() const noexcept { return std::string_view(output_).substr(n_sent_); }
  void sent(std::size_t n);

  [[nodiscard]] State state() const noexcept { return state_; }
  [[nodiscard]] const std::string& problem() const noexcept { return problem_; }
  // Such as "TLSv1.3 TLS_AES_256_GCM_SHA384"; once open.
  [[nodiscard]] std::string description() const;
  // The protocol agreed on inside TLS, "http/1.1" or nothing.
  [[nodiscard]] std::string_view protocol() const;

 private:
  friend struct TlsPipe;
  void advance_handshake();
  void fail();

  bool is_server_;
  State state_ = State::handshake;
  void* ssl_;               // SSL
  std::string_view input_;  // of the receive() under way
  std::string output_;
  std::size_t n_sent_ = 0;
  std::string problem_;
};

}  // namespace tokenclock
