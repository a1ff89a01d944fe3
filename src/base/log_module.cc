#include "base/log_module.h"

#include <array>

namespace mote::log {
namespace {

constexpr std::string_view kTop = "src/";

struct Alias {
  std::string_view room;
  std::string_view peer;  // where Firecracker has the like of it
};
// The first that fits; what fits none is of its crate `vmm`.
constexpr std::array kAliases{
    Alias{"programs/", "firecracker/"},
    Alias{"api/", "api_server/"},
    Alias{"virtio/", "vmm/devices/virtio/"},
    Alias{"devices/", "vmm/devices/legacy/"},
    Alias{"metadata/", "vmm/mmds/"},
    Alias{"snapshot/", "vmm/persist/"},
    Alias{"machine/", "vmm/"},
    Alias{"", "vmm/"},
};

// Takes from the front of `rest` the separator that it begins with, if it does.
bool take_separator(std::string_view& rest) {
  for (const std::string_view separator : {"::", "/"}) {
    if (rest.starts_with(separator)) {
      rest.remove_prefix(separator.size());
      return true;
    }
  }
  return false;
}

// Takes from the front of `prefix` as much as `text` begins with; whether nothing speaks against
// `text` going on so.
bool match(std::string_view text, std::string_view& prefix) {
  for (const char c : text) {
    if (prefix.empty()) return true;
    if (c == '/') {
      if (!take_separator(prefix)) return false;
    } else {
      if (prefix.front() != c) return false;
      prefix.remove_prefix(1);
    }
  }
  return true;
}

bool begins_with(std::string_view head, std::string_view tail, std::string_view prefix) {
  return match(head, prefix) && match(tail, prefix) && prefix.empty();
}

}  // namespace

std::string_view in_source_tree(std::string_view file) {
  const std::size_t top = file.rfind("/src/");
  return top == std::string_view::npos ? file : file.substr(top + 1);
}

bool module_begins_with(std::string_view file, std::string_view prefix) {
  std::string_view module = in_source_tree(file);
  if (module.starts_with(kTop)) module.remove_prefix(kTop.size());
  module = module.substr(0, module.rfind('.'));
  if (begins_with({}, module, prefix)) return true;
  for (const Alias& alias : kAliases) {
    if (!module.starts_with(alias.room)) continue;
    module.remove_prefix(alias.room.size());
    return begins_with(alias.peer, module, prefix);
  }
  return false;
}

}  // namespace mote::log
