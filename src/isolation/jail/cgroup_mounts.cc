#include "isolation/jail/cgroup_mounts.h"

#include <fcntl.h>

#include <algorithm>

#include "base/unique_fd.h"

namespace mote::isolation::jail {
namespace {

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const auto end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == text.npos) return parts;
    text.remove_prefix(end + 1);
  }
}

bool is_octal(char c) { return c >= '0' && c <= '7'; }

// mountinfo writes white space and backslashes in a path as \ooo.
std::string unescape(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() &&
        std::ranges::all_of(text.substr(i + 1, 3), is_octal)) {
      plain +=
          static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + text[i + 3] - '0');
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

// proc(5): fields before and after the separator of a line of mountinfo.
constexpr std::size_t kMountPoint = 4;
constexpr std::size_t kType = 0;
constexpr std::size_t kOptions = 2;

struct Fields {
  std::vector<std::string_view> left;
  std::vector<std::string_view> right;
};

std::optional<Fields> fields_of(std::string_view line) {
  const auto separator = line.find(" - ");
  if (separator == line.npos) return std::nullopt;
  Fields fields{.left = split(line.substr(0, separator), ' '),
                .right = split(line.substr(separator + 3), ' ')};
  if (fields.left.size() <= kMountPoint || fields.right.size() <= kOptions) return std::nullopt;
  return fields;
}

}  // namespace

std::vector<CgroupMount> parse_cgroup_mounts(std::string_view mountinfo) {
  std::vector<CgroupMount> mounts;
  for (const std::string_view line : split(mountinfo, '\n')) {
    const auto fields = fields_of(line);
    if (!fields) continue;
    const auto& [left, right] = *fields;
    const bool second = right[kType] == "cgroup2";
    if (!second && right[kType] != "cgroup") continue;
    CgroupMount mount{.version = second ? CgroupVersion::k2 : CgroupVersion::k1,
                      .at = unescape(left[kMountPoint]),
                      .controllers = {}};
    for (const std::string_view option : split(right[kOptions], ',')) {
      if (!second) mount.controllers.emplace_back(option);
    }
    mounts.push_back(std::move(mount));
  }
  return mounts;
}

std::vector<std::string> parse_mount_points(std::string_view mountinfo) {
  std::vector<std::string> points;
  for (const std::string_view line : split(mountinfo, '\n')) {
    if (const auto fields = fields_of(line)) points.push_back(unescape(fields->left[kMountPoint]));
  }
  return points;
}

std::optional<std::string> parse_own_cgroup(std::string_view cgroups, std::string_view controller) {
  for (const std::string_view line : split(cgroups, '\n')) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == line.npos || second == line.npos) continue;
    const auto controllers = split(line.substr(first + 1, second - first - 1), ',');
    if (std::ranges::find(controllers, controller) != controllers.end()) {
      return std::string(line.substr(second + 1));
    }
  }
  return std::nullopt;
}

Result<std::string> read_list(const std::string& path) {
  constexpr std::size_t kMost = 1 << 20;
  MOTE_TRY(const UniqueFd fd, open_file(path, O_RDONLY));
  MOTE_TRY(auto text, read_all(fd.get(), kMost));
  return text;
}

}  // namespace mote::isolation::jail
