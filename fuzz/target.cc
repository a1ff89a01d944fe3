// Between libFuzzer and a target's run(). `fuzz_<name> --seeds=DIR` writes the target's seeds into
// DIR, which exists, and ends.
#include "fuzz/target.h"

#include <fcntl.h>

#include <csignal>
#include <string_view>

#include "base/log.h"
#include "base/unique_fd.h"

namespace {

constexpr std::string_view kSeedsFlag = "--seeds=";

[[noreturn]] void write_seeds(const std::string& directory) {
  unsigned number = 0;
  for (const std::string& seed : mote::fuzz::seeds()) {
    const std::string path = fmt::format("{}/seed-{}", directory, number++);
    const auto fd = mote::open_file(path, O_WRONLY | O_CREAT | O_TRUNC);
    if (!fd || !mote::write_at(fd->get(), std::as_bytes(std::span(seed)), 0)) {
      std::fprintf(stderr, "cannot write %s\n", path.c_str());
      std::exit(1);
    }
  }
  std::exit(0);
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  for (int i = 1; i < *argc; ++i) {
    const std::string_view argument = (*argv)[i];
    if (argument.starts_with(kSeedsFlag)) {
      write_seeds(std::string(argument.substr(kSeedsFlag.size())));
    }
  }
  // As the programs do.
  std::signal(SIGPIPE, SIG_IGN);
  // Lines are put together, as that is code that meets the guest's values, and then go nowhere.
  mote::log::set_sink(mote::UniqueFd(::open("/dev/null", O_WRONLY | O_CLOEXEC)));
  mote::log::configure({.level = mote::log::Level::kDebug});
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  mote::fuzz::run({data, size});
  return 0;
}
