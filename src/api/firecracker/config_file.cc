#include "api/firecracker/config_file.h"

#include <fcntl.h>

#include <array>
#include <boost/describe/class.hpp>
#include <utility>

#include "base/json_describe.h"
#include "base/unique_fd.h"

namespace mote::api::firecracker {

// The file as it is written: the machine's sections, then those beside it and those that are not
// built.
struct ConfigSections : machine::VmConfig {
  std::optional<LoggerConfig> logger;
  std::optional<json::Value> metrics;
  std::optional<json::Value> cpu_config;
};
BOOST_DESCRIBE_STRUCT(ConfigSections, (machine::VmConfig), (logger, metrics, cpu_config))
constexpr auto json_rules(const ConfigSections*) {
  return std::array{
      json::named("cpu_config", "cpu-config"),
  };
}

namespace {

// What such a section may be although it is not built: an empty list of devices, a processor
// template without a modifier.
enum class Harmless { kNothing, kEmptyList, kEmptyObject };

struct UnbuiltSection {
  std::string_view name;
  std::optional<json::Value> ConfigSections::* value;
  Harmless harmless = Harmless::kNothing;
};

constexpr std::array kUnbuilt{
    UnbuiltSection{"metrics", &ConfigSections::metrics},
    UnbuiltSection{"cpu-config", &ConfigSections::cpu_config, Harmless::kEmptyObject},
};

// Whether the section, as it stands, asks for nothing.
bool asks_for_nothing(const ConfigSections& sections, const UnbuiltSection& section) {
  const std::optional<json::Value>& value = sections.*section.value;
  if (!value) return true;
  const auto* object = value->as<json::Value::Object>();
  return section.harmless == Harmless::kEmptyObject && object != nullptr && object->empty();
}

Result<void> refuse_unbuilt(const ConfigSections& sections) {
  for (const UnbuiltSection& section : kUnbuilt) {
    if (asks_for_nothing(sections, section)) continue;
    return fail(ErrorKind::kUnsupported, "{} is not built yet; leave the section out",
                section.name);
  }
  return {};
}

}  // namespace

Result<ConfigFile> parse_config(std::string_view text) {
  MOTE_TRY(ConfigSections sections,
           json::read<ConfigSections>(text, json::Path("the file"), {.bytes = kMaxConfigFile}));
  MOTE_CHECK(refuse_unbuilt(sections));
  ConfigFile file{.vm = static_cast<machine::VmConfig&&>(sections),
                  .logger = std::move(sections.logger)};
  MOTE_CHECK(machine::check(file.vm));
  if (file.logger) MOTE_CHECK_WITHIN(check(*file.logger), "logger");
  return file;
}

Result<ConfigFile> read_config_file(const std::string& path) {
  const auto read = [&]() -> Result<ConfigFile> {
    MOTE_TRY(const UniqueFd fd, open_file(path, O_RDONLY));
    MOTE_TRY(const std::string text, read_all(fd.get(), kMaxConfigFile));
    return parse_config(text);
  };
  Result<ConfigFile> file = read();
  if (!file) {
    return std::unexpected(
        std::move(file.error()).within(fmt::format("configuration file {}", json::quote(path))));
  }
  return file;
}

}  // namespace mote::api::firecracker
