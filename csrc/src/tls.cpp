#include "tokenclock/tls.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <stdexcept>

#include "libssl.h"

namespace tokenclock {

namespace {

constexpr unsigned char kHttp11[] = "\x08http/1.1";  // one name, its length before it
constexpr unsigned kHttp11Bytes = sizeof kHttp11 - 1;
constexpr unsigned long kCertificateVerifyFailed = 134;  // SSL_R_CERTIFICATE_VERIFY_FAILED
constexpr std::size_t kKeptOutputBytes = 4096;

const ssl::Functions& openssl() { return ssl::library().functions; }
ssl::Context* to_context(void* context) { return static_cast<ssl::Context*>(context); }
ssl::Session* to_session(void* session) { return static_cast<ssl::Session*>(session); }

bool is_address(const std::string& host) {
  in6_addr room{};
  return ::inet_pton(AF_INET, host.c_str(), &room) == 1 || ::inet_pton(AF_INET6, host.c_str(), &room) == 1;
}

// The oldest entry of this thread's error queue, which is emptied.
unsigned long take_error() {
  const unsigned long error = openssl().ERR_get_error();
  openssl().ERR_clear_error();
  return error;
}

std::string reason_of(unsigned long error) {
  if (error == 0) return "unknown error";
  if ((error & 0x80000000UL) != 0) return std::strerror(static_cast<int>(error & 0x7FFFFFFFUL));
  const char* text = openssl().ERR_reason_error_string(error);
  return text == nullptr ? "error " + std::to_string(error) : text;
}

// The numbers are OpenSSL's X509_V_ERR_*.
std::string certificate_problem(long code) {
  switch (code) {
    case 9:
      return "the certificate is not valid yet";
    case 10:
      return "the certificate has expired";
    case 18:
      return "the certificate is self-signed";
    case 19:
      return "the certificate's chain ends in a self-signed one that is not trusted";
    case 2:
    case 20:
    case 21:
      return "the certificate is from an unknown authority";
    case 62:
      return "the certificate is for another host name";
    case 64:
      return "the certificate is for another address";
    default:
      return std::string("the certificate is refused: ") + openssl().X509_verify_cert_error_string(code);
  }
}

// The numbers are OpenSSL's SSL_R_*; those from 1000 on are alerts that the peer sent.
std::string session_problem(unsigned long error) {
  switch (error & 0xFFFU) {
    case 156:  // "http request" and its likes: the first bytes are no record
    case 198:
    case 267:
      return "the peer does not speak TLS";
    case 1116:
      return "the peer asks for a certificate of ours";
    case 1042:
    case 1043:
    case 1044:
    case 1045:
    case 1046:
    case 1048:
      return "the peer refuses our certificate (" + reason_of(error) + ")";
    case 1040:
    case 1070:
      return "the peer refuses the handshake (" + reason_of(error) + ")";
    default:
      return reason_of(error);
  }
}

thread_local bool wanted_pass_phrase = false;

int no_pass_phrase(char* /*room*/, int /*size*/, int /*writing*/, void* /*data*/) {
  wanted_pass_phrase = true;
  return -1;
}

[[noreturn]] void throw_file_problem(const char* what, const std::string& file) {
  const unsigned long error = take_error();
  std::string reason = reason_of(error);
  if (reason == "no start line") reason = "nothing of the kind is in it";
  if (wanted_pass_phrase) reason = "it is locked; unlock a copy by: openssl pkey -in " + file + " -out COPY";
  throw std::invalid_argument(std::string("cannot use ") + what + " in " + file + " (" + reason + ")");
}

int choose_http_1_1(ssl::Session* /*session*/, ssl::Bytes* chosen, unsigned char* chosen_size, ssl::Bytes offered,
                    unsigned n_offered, void* /*data*/) {
  for (unsigned at = 0; at < n_offered; at += 1U + offered[at]) {
    if (n_offered - at < kHttp11Bytes || std::memcmp(offered + at, kHttp11, kHttp11Bytes) != 0) continue;
    *chosen = offered + at + 1;
    *chosen_size = offered[at];
    return ssl::kAlpnOk;
  }
  return ssl::kAlpnNotUsed;
}

}  // namespace

const std::string& tls_library() { return ssl::library().version; }
const std::string& tls_problem() { return ssl::library().problem; }

// The two ends that OpenSSL reads from and writes to. Its own memory BIO would copy once more and never give memory
// back.
struct TlsPipe {
  static TlsSession& session(ssl::Bio* bio) { return *static_cast<TlsSession*>(openssl().BIO_get_data(bio)); }

  static int read(ssl::Bio* bio, char* to, int size) {
    std::string_view& input = session(bio).input_;
    openssl().BIO_clear_flags(bio, ssl::kBioRead | ssl::kBioWrite | ssl::kBioRetry);
    if (input.empty()) {
      openssl().BIO_set_flags(bio, ssl::kBioRead | ssl::kBioRetry);
      return -1;
    }
    const std::size_t n = std::min(input.size(), static_cast<std::size_t>(size));
    std::memcpy(to, input.data(), n);
    input.remove_prefix(n);
    return static_cast<int>(n);
  }
  static int write(ssl::Bio* bio, const char* from, int size) {
    openssl().BIO_clear_flags(bio, ssl::kBioRead | ssl::kBioWrite | ssl::kBioRetry);
    session(bio).output_.append(from, static_cast<std::size_t>(size));
    return size;
  }
  static long control(ssl::Bio* /*bio*/, int command, long /*number*/, void* /*pointer*/) {
    return command == ssl::kBioFlush ? 1 : 0;
  }
  static const ssl::BioMethod* method() {
    static const ssl::BioMethod* made = [] {
      ssl::BioMethod* method = openssl().BIO_meth_new(ssl::kBioOwnKind, "bytes in, bytes out");
      if (method == nullptr) throw std::bad_alloc();
      openssl().BIO_meth_set_read(method, &read);
      openssl().BIO_meth_set_write(method, &write);
      openssl().BIO_meth_set_ctrl(method, &control);
      return method;
    }();
    return made;
  }
};

// ---- context

TlsContext::TlsContext(bool is_server) : is_server_(is_server), context_(nullptr) {
  if (!tls_problem().empty()) throw std::invalid_argument(tls_problem());
  const ssl::Functions& f = openssl();
  ssl::Context* context = f.SSL_CTX_new(is_server ? f.TLS_server_method() : f.TLS_client_method());
  if (context == nullptr) throw std::bad_alloc();
  context_ = context;
  f.SSL_CTX_ctrl(context, ssl::kControlMode, ssl::kModeReleaseBuffers, nullptr);  // 34 KiB less while nothing flows
  f.SSL_CTX_ctrl(context, ssl::kControlMinVersion, ssl::kTls12, nullptr);
  f.SSL_CTX_ctrl(context, ssl::kControlSessionCacheMode, 0, nullptr);  // nobody resumes
  f.SSL_CTX_set_default_passwd_cb(context, &no_pass_phrase);           // rather than asking on the terminal
}

TlsContext::~TlsContext() { openssl().SSL_CTX_free(to_context(context_)); }

void TlsContext::use_certificate(const std::string& certificate, const std::string& key) {
  ssl::Context* context = to_context(context_);
  wanted_pass_phrase = false;
  if (openssl().SSL_CTX_use_certificate_chain_file(context, certificate.c_str()) != 1)
    throw_file_problem("the certificate", certificate);
  const std::string& key_file = key.empty() ? certificate : key;
  wanted_pass_phrase = false;
  if (openssl().SSL_CTX_use_PrivateKey_file(context, key_file.c_str(), ssl::kFilePem) != 1)
    throw_file_problem("the private key", key_file);
}

std::shared_ptr<const TlsContext> TlsContext::client(const TlsClientOptions& options) {
  const std::shared_ptr<TlsContext> made(new TlsContext(false));
  const ssl::Functions& f = openssl();
  ssl::Context* context = to_context(made->context_);
  const bool by_address = is_address(options.host);
  if (!by_address) made->host_name_ = options.host;
  if (options.verify) {
    f.SSL_CTX_set_verify(context, ssl::kVerifyPeer, nullptr);
    ssl::VerifyParameters* parameters = f.SSL_CTX_get0_param(context);
    f.X509_VERIFY_PARAM_set_hostflags(parameters, ssl::kNoPartialWildcards);
    const int set = by_address ? f.X509_VERIFY_PARAM_set1_ip_asc(parameters, options.host.c_str())
                               : f.X509_VERIFY_PARAM_set1_host(parameters, options.host.c_str(), options.host.size());
    if (set != 1 || options.host.empty())
      throw std::invalid_argument("expected a host name or an address to check the certificate against, got '" +
                                  options.host + "'");
    if (options.ca_file.empty()) {
      f.SSL_CTX_set_default_verify_paths(context);
    } else if (f.SSL_CTX_load_verify_locations(context, options.ca_file.c_str(), nullptr) != 1) {
      throw_file_problem("the certificates", options.ca_file);
    }
  } else {
    f.SSL_CTX_set_verify(context, ssl::kVerifyNone, nullptr);
  }
  if (!options.certificate.empty()) made->use_certificate(options.certificate, options.key);
  f.SSL_CTX_set_alpn_protos(context, kHttp11, kHttp11Bytes);
  f.ERR_clear_error();
  return made;
}

std::shared_ptr<const TlsContext> TlsContext::server(const TlsServerOptions& options) {
  const std::shared_ptr<TlsContext> made(new TlsContext(true));
  ssl::Context* context = to_context(made->context_);
  made->use_certificate(options.certificate, options.key);
  if (!options.client_ca.empty()) {
    if (openssl().SSL_CTX_load_verify_locations(context, options.client_ca.c_str(), nullptr) != 1)
      throw_file_problem("the certificates", options.client_ca);
    openssl().SSL_CTX_set_verify(context, ssl::kVerifyPeer | ssl::kFailWithoutPeerCertificate, nullptr);
  }
  openssl().SSL_CTX_set_alpn_select_cb(context, &choose_http_1_1, nullptr);
  openssl().ERR_clear_error();
  return made;
}

// ---- session

TlsSession::TlsSession(const TlsContext& context)
    : is_server_(context.is_server_), ssl_(openssl().SSL_new(to_context(context.context_))) {
  const ssl::Functions& f = openssl();
  ssl::Bio* bio = ssl_ == nullptr ? nullptr : f.BIO_new(TlsPipe::method());
  if (bio == nullptr) {
    f.SSL_free(to_session(ssl_));
    throw std::bad_alloc();
  }
  f.BIO_set_data(bio, this);
  f.BIO_set_init(bio, 1);
  f.SSL_set_bio(to_session(ssl_), bio, bio);  // which owns it from here on
  if (is_server_) {
    f.SSL_set_accept_state(to_session(ssl_));
  } else {
    f.SSL_set_connect_state(to_session(ssl_));
    if (!context.host_name_.empty())
      f.SSL_ctrl(to_session(ssl_), ssl::kControlHostName, 0, const_cast<char*>(context.host_name_.c_str()));
  }
}

TlsSession::~TlsSession() { openssl().SSL_free(to_session(ssl_)); }

void TlsSession::start() { advance_handshake(); }

void TlsSession::advance_handshake() {
  const int done = openssl().SSL_do_handshake(to_session(ssl_));
  if (done == 1) {
    state_ = State::open;
  } else if (openssl().SSL_get_error(to_session(ssl_), done) != ssl::kErrorWantRead) {
    fail();
  }
}

void TlsSession::fail() {
  state_ = State::failed;
  const unsigned long error = take_error();
  const bool by_certificate = (error & 0xFFFU) == kCertificateVerifyFailed;
  problem_ =
      by_certificate ? certificate_problem(openssl().SSL_get_verify_result(to_session(ssl_))) : session_problem(error);
}

std::string_view TlsSession::receive(std::string_view wire, std::vector<char>& scratch) {
  input_ = wire;
  if (state_ == State::handshake) advance_handshake();
  // A record may end here that began earlier; each read wants room for a whole one.
  if (scratch.size() < wire.size() + 2 * kRecordBytes) scratch.resize(wire.size() + 2 * kRecordBytes);
  std::size_t n_plain = 0;
  // Nothing is left inside OpenSSL when the input is used up: it reads record by record.
  while (state_ == State::open && !input_.empty()) {
    const int n =
        openssl().SSL_read(to_session(ssl_), scratch.data() + n_plain, static_cast<int>(scratch.size() - n_plain));
    if (n > 0) {
      n_plain += static_cast<std::size_t>(n);
      continue;
    }
    const int error = openssl().SSL_get_error(to_session(ssl_), n);
    if (error == ssl::kErrorWantRead) continue;
    if (error == ssl::kErrorPeerClosed) {
      state_ = State::closed;
    } else {
      fail();
    }
  }
  input_ = {};
  return {scratch.data(), n_plain};
}

void TlsSession::send(std::string_view plain) {
  if (state_ != State::open || plain.empty()) return;
  const int n = openssl().SSL_write(to_session(ssl_), plain.data(), static_cast<int>(plain.size()));
  if (n <= 0) fail();
}

void TlsSession::close() {
  if (state_ != State::open && state_ != State::closed) return;
  openssl().SSL_shutdown(to_session(ssl_));
  openssl().ERR_clear_error();
}

void TlsSession::sent(std::size_t n) {
  n_sent_ += n;
  if (n_sent_ < output_.size()) return;
  n_sent_ = 0;
  output_.clear();
  if (output_.capacity() > kKeptOutputBytes) output_.shrink_to_fit();
}

std::string TlsSession::description() const {
  const ssl::Cipher* cipher = openssl().SSL_get_current_cipher(to_session(ssl_));
  std::string text = openssl().SSL_get_version(to_session(ssl_));
  if (cipher != nullptr) text.append(" ").append(openssl().SSL_CIPHER_get_name(cipher));
  return text;
}

std::string_view TlsSession::protocol() const {
  ssl::Bytes name = nullptr;
  unsigned size = 0;
  openssl().SSL_get0_alpn_selected(to_session(ssl_), &name, &size);
  return size == 0 ? std::string_view() : std::string_view(reinterpret_cast<const char*>(name), size);
}

}  // namespace tokenclock
