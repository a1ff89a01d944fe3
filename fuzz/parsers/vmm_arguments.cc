// The arguments of mote-vmm, one after the other with a NUL between them.
#include "programs/mote_vmm/arguments.h"

#include "fuzz/target.h"

namespace mote::fuzz {

void run(std::span<const std::uint8_t> bytes) {
  const std::string text(bytes.begin(), bytes.end());
  std::vector<const char*> words;
  for (std::size_t at = 0; at < text.size(); at = text.find('\0', at) + 1) {
    words.push_back(text.c_str() + at);
    if (text.find('\0', at) == std::string::npos) break;
  }
  const auto arguments = vmm::parse(words);
  if (!arguments) return require(!arguments.error().text().empty(), "an error says what is wrong");
  static_cast<void>(vmm::logger_config(*arguments));
}

std::vector<std::string> seeds() {
  using namespace std::string_literals;
  return {"--no-api\0--config-file\0vm.json\0--id\0one"s, "--help"s, "--version"s,
          "--level\0Debug\0--log-path\0log\0--show-level\0--show-log-origin\0--boot-timer"s,
          "--exit-port\0--stdio-uart\0--console-fd\0003\0--end-fd\0004\0--\0x"s};
}

}  // namespace mote::fuzz
