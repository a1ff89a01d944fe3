#include "api/firecracker/metrics/config.h"

namespace mote::api::firecracker {

Result<void> check(const MetricsConfig& config) {
  if (config.metrics_path.find('\0') != std::string::npos) {
    return fail(ErrorKind::kInvalid, "metrics_path is {}; it must be without NUL characters",
                json::quote(config.metrics_path));
  }
  if (!config.properties || config.properties->is_null()) return {};
  const json::Path document("metrics");
  const json::Path path(document, "properties");
  const auto* properties = config.properties->as<json::Value::Object>();
  if (properties == nullptr) {
    return json::mismatch(path, *config.properties, "an object of names and texts");
  }
  for (const json::Member& property : *properties) {
    if (property.value.as<std::string>() != nullptr) continue;
    return json::mismatch(json::Path(path, property.name), property.value, "a text");
  }
  return {};
}

}  // namespace mote::api::firecracker
