// The kernel's command line: what the user gives, and what the machine adds.
#include "arch/x86_64/cmdline.h"

#include "arch/x86_64/layout.h"
#include "fuzz/input.h"
#include "fuzz/target.h"

namespace mote::fuzz {

void run(std::span<const std::uint8_t> bytes) {
  Input input(bytes);
  const auto windows = input.below<std::uint8_t>(20);
  const std::string partuuid = input.text(64);
  auto line = arch::Cmdline::parse(input.rest());
  if (!line) return require(!line.error().text().empty(), "an error says what is wrong");
  bool fits = line->add_root(partuuid, windows % 2 == 0).has_value();
  for (unsigned i = 0; fits && i < windows; ++i) {
    fits = line->add_virtio_mmio(arch::layout::kVirtioMmioSize, arch::layout::virtio_mmio_window(i),
                                 i + 5)
               .has_value();
  }
  if (!fits) return;
  const std::string text = line->text();
  require(text.size() < arch::layout::kCmdlineMaxSize, "a line that was accepted fits");
  const auto again = arch::Cmdline::parse(text);
  require(again.has_value() && again->text() == text, "a line that was put together is one");
}

std::vector<std::string> seeds() {
  return {std::string(arch::Cmdline::kDefault), "console=ttyS0 foo=\"a -- b\" -- -x sh", "-- only",
          std::string(2040, 'a')};
}

}  // namespace mote::fuzz
