// Certificates made by the openssl program at test time, in a folder of their own: nothing secret is kept anywhere.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "check.h"

namespace tokenclock::test {

class TlsFiles {
 public:
  TlsFiles() {
    std::string name = (std::filesystem::temp_directory_path() / "tokenclock-tls-XXXXXX").string();
    CHECK(::mkdtemp(name.data()) != nullptr);
    folder_ = name;
    self_signed("localhost", "DNS:localhost,IP:127.0.0.1");
    self_signed("other", "DNS:other.example");
  }
  ~TlsFiles() { std::filesystem::remove_all(folder_); }
  TlsFiles(const TlsFiles&) = delete;
  TlsFiles& operator=(const TlsFiles&) = delete;

  static bool can_be_made() { return std::system("openssl version >/dev/null 2>&1") == 0; }
  [[nodiscard]] std::string certificate(const std::string& name) const { return (folder_ / (name + ".pem")).string(); }
  [[nodiscard]] std::string key(const std::string& name) const { return (folder_ / (name + ".key")).string(); }

 private:
  void self_signed(const std::string& name, const std::string& names) const {
    const std::string command =
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=" + name +
        " -addext subjectAltName=" + names + " -keyout " + key(name) + " -out " + certificate(name) + " 2>/dev/null";
    CHECK_EQ(std::system(command.c_str()), 0);
  }
  std::filesystem::path folder_;
};

}  // namespace tokenclock::test
