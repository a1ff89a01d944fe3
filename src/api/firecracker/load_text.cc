#include "api/firecracker/load_text.h"

#include <utility>

#include "api/firecracker/config_file.h"
#include "base/json_describe.h"

namespace mote::api::firecracker {
namespace {

Result<SnapshotLoad> parse_load(std::string_view text) {
  return json::read<SnapshotLoad>(text, json::Path("the load"), {.bytes = kMaxConfigFile});
}

}  // namespace

Result<SnapshotLoad> read_load(const std::string& load) {
  const auto begin = load.find_first_not_of(" \t\r\n");
  if (begin != load.npos && load[begin] == '{') return parse_load(load);
  const auto read = [&]() -> Result<SnapshotLoad> {
    MOTE_TRY(const std::string text, read_config_text(load));
    return parse_load(text);
  };
  Result<SnapshotLoad> body = read();
  if (!body) {
    return std::unexpected(
        std::move(body.error()).within(fmt::format("file {}", json::quote(load))));
  }
  return body;
}

}  // namespace mote::api::firecracker
