// Tokens: none is good but those that were issued.
#include "metadata/token.h"

#include "fuzz/target.h"

namespace mote::fuzz {

void run(std::span<const std::uint8_t> bytes) {
  static std::chrono::milliseconds time{1000};
  static metadata::Tokens tokens([] { return time; });
  static const std::string issued = *tokens.issue(60);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  // The fuzzer sees what is compared, and learns the one that was.
  require(tokens.good(text) == (text == issued), "a token that was not issued is not good");
  // Parts of a good one, with the input in between.
  for (const std::size_t cut : {std::size_t{0}, std::size_t{20}, std::size_t{63}}) {
    const std::string changed = issued.substr(0, cut) + std::string(text) +
                                issued.substr(std::min(cut + text.size(), issued.size()));
    require(tokens.good(changed) == (changed == issued), "nor one that was changed");
  }
}

std::vector<std::string> seeds() {
  return {std::string(64, 'A'), std::string(64, '_'), "A", "====", std::string(64, '=')};
}

}  // namespace mote::fuzz
