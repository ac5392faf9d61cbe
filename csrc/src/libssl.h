// OpenSSL's libssl as it is found at run time: the functions used here, declared by hand, so that building needs no
// OpenSSL. Opaque types are our own; names and constants are OpenSSL's, and hold for 1.1 and 3.
#pragma once

#include <cstddef>
#include <string>

namespace tokenclock::ssl {

struct Bio;
struct BioMethod;
struct Cipher;
struct Context;
struct Method;
struct Session;
struct VerifyParameters;

using Bytes = const unsigned char*;
using AlpnChoice = int (*)(Session*, Bytes*, unsigned char*, Bytes, unsigned, void*);

// return type, name, parameters
#define TOKENCLOCK_LIBSSL_FUNCTIONS(X)                                                \
  X(const Method*, TLS_client_method, ())                                             \
  X(const Method*, TLS_server_method, ())                                             \
  X(Context*, SSL_CTX_new, (const Method*))                                           \
  X(void, SSL_CTX_free, (Context*))                                                   \
  X(long, SSL_CTX_ctrl, (Context*, int, long, void*))                                 \
  X(void, SSL_CTX_set_verify, (Context*, int, int (*)(int, void*)))                   \
  X(VerifyParameters*, SSL_CTX_get0_param, (Context*))                                \
  X(int, SSL_CTX_set_default_verify_paths, (Context*))                                \
  X(int, SSL_CTX_load_verify_locations, (Context*, const char*, const char*))         \
  X(void, SSL_CTX_set_default_passwd_cb, (Context*, int (*)(char*, int, int, void*))) \
  X(int, SSL_CTX_use_certificate_chain_file, (Context*, const char*))                 \
  X(int, SSL_CTX_use_PrivateKey_file, (Context*, const char*, int))                   \
  X(int, SSL_CTX_set_alpn_protos, (Context*, Bytes, unsigned))                        \
  X(void, SSL_CTX_set_alpn_select_cb, (Context*, AlpnChoice, void*))                  \
  X(Session*, SSL_new, (Context*))                                                    \
  X(void, SSL_free, (Session*))                                                       \
  X(long, SSL_ctrl, (Session*, int, long, void*))                                     \
  X(void, SSL_set_bio, (Session*, Bio*, Bio*))                                        \
  X(void, SSL_set_connect_state, (Session*))                                          \
  X(void, SSL_set_accept_state, (Session*))                                           \
  X(int, SSL_do_handshake, (Session*))                                                \
  X(int, SSL_read, (Session*, void*, int))                                            \
  X(int, SSL_write, (Session*, const void*, int))                                     \
  X(int, SSL_shutdown, (Session*))                                                    \
  X(int, SSL_get_error, (const Session*, int))                                        \
  X(long, SSL_get_verify_result, (const Session*))                                    \
  X(const char*, SSL_get_version, (const Session*))                                   \
  X(const Cipher*, SSL_get_current_cipher, (const Session*))                          \
  X(const char*, SSL_CIPHER_get_name, (const Cipher*))                                \
  X(void, SSL_get0_alpn_selected, (const Session*, Bytes*, unsigned*))                \
  X(int, X509_VERIFY_PARAM_set1_host, (VerifyParameters*, const char*, std::size_t))  \
  X(int, X509_VERIFY_PARAM_set1_ip_asc, (VerifyParameters*, const char*))             \
  X(void, X509_VERIFY_PARAM_set_hostflags, (VerifyParameters*, unsigned))             \
  X(const char*, X509_verify_cert_error_string, (long))                               \
  X(BioMethod*, BIO_meth_new, (int, const char*))                                     \
  X(int, BIO_meth_set_read, (BioMethod*, int (*)(Bio*, char*, int)))                  \
  X(int, BIO_meth_set_write, (BioMethod*, int (*)(Bio*, const char*, int)))           \
  X(int, BIO_meth_set_ctrl, (BioMethod*, long (*)(Bio*, int, long, void*)))           \
  X(Bio*, BIO_new, (const BioMethod*))                                                \
  X(void, BIO_set_data, (Bio*, void*))                                                \
  X(void*, BIO_get_data, (Bio*))                                                      \
  X(void, BIO_set_init, (Bio*, int))                                                  \
  X(void, BIO_set_flags, (Bio*, int))                                                 \
  X(void, BIO_clear_flags, (Bio*, int))                                               \
  X(unsigned long, ERR_get_error, ())                                                 \
  X(void, ERR_clear_error, ())                                                        \
  X(const char*, ERR_reason_error_string, (unsigned long))                            \
  X(const char*, OpenSSL_version, (int))

struct Functions {
#define TOKENCLOCK_DECLARE(result, name, parameters) result(*name) parameters = nullptr;
  TOKENCLOCK_LIBSSL_FUNCTIONS(TOKENCLOCK_DECLARE)
#undef TOKENCLOCK_DECLARE
};

struct Library {
  Functions functions;
  std::string version;  // such as "OpenSSL 3.0.15 3 Sep 2024"
  std::string problem;  // why there is none, and what to install; empty when it was loaded
};

// Loads it at the first call, for the life of the process. Any thread.
const Library& library();
// The same without a memory, from the file `path` (empty: the names libssl goes by).
Library load_library(const std::string& path);

inline constexpr int kControlMode = 33;
inline constexpr int kControlSessionCacheMode = 44;
inline constexpr int kControlHostName = 55;
inline constexpr int kControlMinVersion = 123;
inline constexpr long kModeReleaseBuffers = 0x10;
inline constexpr long kTls12 = 0x0303;
inline constexpr int kVerifyNone = 0;
inline constexpr int kVerifyPeer = 1;
inline constexpr int kFailWithoutPeerCertificate = 2;
inline constexpr int kFilePem = 1;
inline constexpr int kErrorWantRead = 2;
inline constexpr int kErrorPeerClosed = 6;
inline constexpr unsigned kNoPartialWildcards = 4;
inline constexpr int kBioOwnKind = 0x0400 | 0x7E;  // a source and sink that is none of OpenSSL's
inline constexpr int kBioFlush = 11;
inline constexpr int kBioRead = 1;
inline constexpr int kBioWrite = 2;
inline constexpr int kBioRetry = 8;
inline constexpr int kAlpnOk = 0;
inline constexpr int kAlpnNotUsed = 3;

}  // namespace tokenclock::ssl
