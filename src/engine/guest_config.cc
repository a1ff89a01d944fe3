#include "engine/guest_config.h"

#include <algorithm>

#include "base/json.h"
#include "engine/cpio.h"

namespace mote::engine {
namespace {

constexpr std::size_t kMaxHostname = 64;      // HOST_NAME_MAX of Linux
constexpr std::size_t kMaxRecords = 2 << 20;  // what Linux lets a program have of arguments

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

Result<void> check_environment(std::string_view entry) {
  const auto equals = entry.find('=');
  if (equals != entry.npos && equals > 0) return {};
  return fail(ErrorKind::kInvalid, "--env {}: it must be NAME=VALUE", json::quote(entry));
}

Result<void> check_hostname(std::string_view name) {
  const auto allowed = [](char letter) {
    return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
           (letter >= '0' && letter <= '9') || letter == '-' || letter == '.';
  };
  if (!name.empty() && name.size() <= kMaxHostname && std::ranges::all_of(name, allowed)) return {};
  return fail(ErrorKind::kInvalid,
              "--hostname {}: it must be 1 to {} letters (of ASCII), digits, hyphens and dots",
              json::quote(name), kMaxHostname);
}

}  // namespace

Result<void> check(const GuestConfig& config) {
  if (config.command.empty() || config.command[0].empty()) {
    return fail(ErrorKind::kInvalid, "there is no command: mote run OPTION... -- COMMAND [ARG...]");
  }
  for (const std::string& entry : config.environment) MOTE_CHECK(check_environment(entry));
  if (config.workdir && !config.workdir->starts_with('/')) {
    return fail(ErrorKind::kInvalid, "--workdir {}: it must be an absolute path",
                json::quote(*config.workdir));
  }
  if (config.hostname) MOTE_CHECK(check_hostname(*config.hostname));
  if (const std::size_t size = guest_records(config).size(); size > kMaxRecords) {
    return fail(ErrorKind::kInvalid,
                "the command and its environment are {} bytes long; at most {} can be", size,
                kMaxRecords);
  }
  return {};
}

std::string guest_records(const GuestConfig& config) {
  std::string records;
  const auto add = [&records](std::string_view key, std::string_view value) {
    records.append(key).append("=").append(value).push_back('\0');
  };
  for (const std::string& word : config.command) add("arg", word);
  for (const std::string& entry : config.environment) add("env", entry);
  if (config.workdir) add("workdir", *config.workdir);
  if (config.hostname) add("hostname", *config.hostname);
  add("root", "/dev/vda");
  add("rootfs", name_of(config.root));
  add("tty", config.terminal ? "1" : "0");
  if (config.terminal) {
    add("rows", fmt::format("{}", config.terminal->rows));
    add("cols", fmt::format("{}", config.terminal->columns));
    if (!config.terminal->term.empty()) add("term", config.terminal->term);
  }
  add("time", fmt::format("{}", config.time_ns));
  return records;
}

std::string make_initramfs(std::string_view init_program, const GuestConfig& config) {
  CpioWriter archive;
  archive.directory("dev", 0755);
  archive.character_device("dev/console", 0600, 5, 1);  // init's first streams
  archive.file("init", 0755, bytes_of(init_program));
  archive.directory("mote", 0755);
  archive.file("mote/config", 0600, bytes_of(guest_records(config)));
  return std::move(archive).take();
}

}  // namespace mote::engine
