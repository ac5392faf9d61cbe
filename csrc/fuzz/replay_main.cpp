// Runs a fuzzer over files and folders of inputs without libFuzzer, so that the corpora are tests wherever C++ builds.
#include <filesystem>
#include <fstream>
#include <iterator>

#include "fuzz.h"

namespace {

void replay(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::printf("%s\n", path.c_str());
  std::fflush(stdout);
  const std::vector<std::uint8_t> bytes(text.begin(), text.end());
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
}

}  // namespace

int main(int argc, char** argv) {
  std::size_t n_inputs = 0;
  for (int i = 1; i < argc; ++i) {
    if (!std::filesystem::is_directory(argv[i])) {
      replay(argv[i]);
      ++n_inputs;
      continue;
    }
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
      replay(entry.path());
      ++n_inputs;
    }
  }
  if (n_inputs == 0) std::fprintf(stderr, "no inputs: name files or folders of inputs\n");
  return n_inputs == 0 ? 1 : 0;
}
