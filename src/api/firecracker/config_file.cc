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
  std::optional<MetricsConfig> metrics;
  std::optional<json::Value> cpu_section;  // a template, or the path of a file that holds one
};
BOOST_DESCRIBE_STRUCT(ConfigSections, (machine::VmConfig), (logger, metrics, cpu_section))
constexpr auto json_rules(const ConfigSections*) {
  return std::array{
      json::named("cpu_section", "cpu-config"),
  };
}

namespace {

Result<machine::CpuConfig> read_cpu_file(const std::string& path) {
  MOTE_TRY(const UniqueFd fd, open_file(path, O_RDONLY));
  MOTE_TRY(const std::string text, read_all(fd.get(), kMaxConfigFile));
  return json::read<machine::CpuConfig>(text, json::Path("the file"), {.bytes = kMaxConfigFile});
}

Result<machine::CpuConfig> read_cpu_section(const json::Value& section) {
  const json::Path document("the file");
  const json::Path place(document, "cpu-config");
  if (section.as<json::Value::Object>() != nullptr) {
    return json::from_value<machine::CpuConfig>(section, place);
  }
  const auto* path = section.as<std::string>();
  if (path == nullptr) return json::mismatch(place, section, "an object or the path of a file");
  Result<machine::CpuConfig> config = read_cpu_file(*path);
  if (!config) {
    return std::unexpected(
        std::move(config.error()).within(fmt::format("cpu-config {}", json::quote(*path))));
  }
  return config;
}

}  // namespace

Result<ConfigFile> parse_config(std::string_view text) {
  MOTE_TRY(ConfigSections sections,
           json::read<ConfigSections>(text, json::Path("the file"), {.bytes = kMaxConfigFile}));
  if (sections.cpu_section) {
    MOTE_TRY(sections.cpu_config, read_cpu_section(*sections.cpu_section));
    // Of two templates the later one counts, and this section is the last.
    sections.machine.cpu_template.reset();
  }
  ConfigFile file{.vm = static_cast<machine::VmConfig&&>(sections),
                  .logger = std::move(sections.logger),
                  .metrics = std::move(sections.metrics)};
  MOTE_CHECK(machine::check(file.vm));
  if (file.logger) MOTE_CHECK_WITHIN(check(*file.logger), "logger");
  if (file.metrics) MOTE_CHECK_WITHIN(check(*file.metrics), "metrics");
  return file;
}

Result<std::string> read_config_text(const std::string& path) {
  MOTE_TRY(const UniqueFd fd, open_file(path, O_RDONLY));
  return read_all(fd.get(), kMaxConfigFile);
}

Result<ConfigFile> read_config_file(const std::string& path) {
  const auto read = [&]() -> Result<ConfigFile> {
    MOTE_TRY(const std::string text, read_config_text(path));
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
