#include "engine/places.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>

namespace mote::engine {
namespace {

namespace fs = std::filesystem;

std::string value_or(const Environment& environment, const char* name,
                     const std::string& otherwise) {
  const auto value = environment(name);
  return value && !value->empty() ? *value : otherwise;
}

}  // namespace

std::optional<std::string> process_environment(const char* name) {
  const char* value = ::getenv(name);
  return value != nullptr ? std::optional<std::string>(value) : std::nullopt;
}

Result<std::string> sibling_program(const std::string& name) {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  if (error) return fail(ErrorKind::kIo, "find the programs beside this one: {}", error.message());
  std::string path = self.parent_path() / name;
  if (::access(path.c_str(), R_OK | X_OK) == 0) return path;
  return fail_errno(errno, "'{}', which mote needs beside itself (scripts/build release {})", path,
                    name);
}

std::string cache_directory(const Environment& environment) {
  const std::string home = value_or(environment, "HOME", "/root");
  const std::string caches = value_or(environment, "XDG_CACHE_HOME", home + "/.cache");
  return value_or(environment, "MOTE_CACHE", caches + "/mote");
}

Result<std::string> default_kernel(const Environment& environment) {
  if (std::string named = value_or(environment, "MOTE_KERNEL", ""); !named.empty()) return named;
  const fs::path cache = cache_directory(environment);
  std::error_code error;
  if (fs::path chosen = cache / "default-kernel"; fs::exists(chosen, error)) return chosen;
  fs::path newest;
  fs::file_time_type newest_time;
  for (auto entry = fs::directory_iterator(cache, error);
       !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const fs::path kernel = entry->path() / "vmlinux";
    std::error_code missing;
    const auto time = fs::last_write_time(kernel, missing);
    const bool ours = entry->path().filename().string().starts_with("kernel-");
    if (!ours || missing || (!newest.empty() && time <= newest_time)) continue;
    newest = kernel;
    newest_time = time;
  }
  if (!newest.empty()) return newest;
  return fail(
      ErrorKind::kNotFound,
      "there is no guest kernel in '{}': run ./quickstart or guest/kernel/build, or name one "
      "with --kernel or MOTE_KERNEL",
      cache.string());
}

}  // namespace mote::engine
