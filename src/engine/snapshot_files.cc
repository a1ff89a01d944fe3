#include "engine/snapshot_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <span>

#include "base/json.h"
#include "base/unique_fd.h"
#include "snapshot/memory_file.h"
#include "snapshot/new_file.h"
#include "snapshot/node.h"
#include "snapshot/stamp.h"
#include "snapshot/state_file.h"

namespace mote::engine {
namespace {

using snapshot::Node;
using snapshot::NodeKind;

// A state file that was read: `body` is inside `bytes`.
struct Loaded {
  std::string bytes;
  snapshot::Header header;
  std::span<const std::byte> body() const {
    return std::as_bytes(std::span(bytes)).subspan(snapshot::kHeaderSize);
  }
};

Result<Loaded> load(const std::string& path) {
  Loaded loaded;
  MOTE_TRY(loaded.bytes, snapshot::read_bytes_of(path));
  auto file = snapshot::read_state_file(std::as_bytes(std::span(loaded.bytes)));
  if (!file) return std::unexpected(std::move(file.error()).within(json::quote(path)));
  loaded.header = std::move(file->header);
  return loaded;
}

std::string hex(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte byte : bytes) text += fmt::format("{:02x}", std::to_integer<int>(byte));
  return text;
}

// A value as a line has it.
std::string text_of(const Node& node) {
  switch (node.kind) {
    case NodeKind::kUnsigned:
      return fmt::format("{}", node.number);
    case NodeKind::kSigned:
      return fmt::format("{}", static_cast<std::int64_t>(node.number));
    case NodeKind::kText:
      return json::quote(node.text());
    case NodeKind::kBytes:
      return hex(node.bytes);
    default:
      return snapshot::shown(node);
  }
}

bool is_in(std::string_view path, std::string_view part) {
  return path.starts_with(part) && (part.empty() || path.size() == part.size() ||
                                    path[part.size()] == '.' || path[part.size()] == '[');
}

std::string header_lines(const snapshot::Header& header) {
  return fmt::format("format = {}\narchitecture = {}\nmaker = {}\ncreated = {}\nid = {}\n",
                     snapshot::version_text(header.major, header.minor),
                     snapshot::architecture_name(header.architecture), json::quote(header.maker),
                     header.created, hex(header.id));
}

// Every leaf with its place.
Result<std::map<std::string, std::string>> leaves(const Loaded& file, std::string_view part) {
  std::map<std::string, std::string> found;
  MOTE_CHECK(snapshot::walk(file.body(), [&](const std::string& path, const Node& node) {
    if (is_in(path, part)) found[path] = text_of(node);
  }));
  return found;
}

// Nodes as JSON. What they hold was walked before, so that all is whole.
void write_json(const Node& node, json::Writer& writer) {
  std::span<const std::byte> rest = node.bytes;
  switch (node.kind) {
    case NodeKind::kAbsent:
      return writer.null();
    case NodeKind::kFalse:
    case NodeKind::kTrue:
      return writer.boolean(node.kind == NodeKind::kTrue);
    case NodeKind::kUnsigned:
      return writer.integer(node.number);
    case NodeKind::kSigned:
      return writer.integer(static_cast<std::int64_t>(node.number));
    case NodeKind::kText:
      return writer.string(node.text());
    case NodeKind::kBytes:
      return writer.string(hex(node.bytes));
    case NodeKind::kList:
      writer.begin_array();
      for (std::uint32_t i = 0; i < node.count; ++i) write_json(*snapshot::take_node(rest), writer);
      return writer.end_array();
    case NodeKind::kRecord:
      writer.begin_object();
      for (std::uint32_t i = 0; i < node.count; ++i) {
        writer.key(*snapshot::take_name(rest));
        write_json(*snapshot::take_node(rest), writer);
      }
      return writer.end_object();
  }
}

void write_header(const snapshot::Header& header, json::Writer& writer) {
  writer.begin_object();
  writer.key("format");
  writer.string(snapshot::version_text(header.major, header.minor));
  writer.key("architecture");
  writer.string(snapshot::architecture_name(header.architecture));
  writer.key("maker");
  writer.string(header.maker);
  writer.key("created");
  writer.integer(header.created);
  writer.key("id");
  writer.string(hex(header.id));
  writer.end_object();
}

Result<std::string> as_json(const Loaded& file) {
  MOTE_CHECK(snapshot::walk(file.body(), [](const std::string&, const Node&) {}));
  std::span<const std::byte> rest = file.body();
  json::Writer writer;
  writer.begin_object();
  writer.key("header");
  write_header(file.header, writer);
  writer.key("state");
  write_json(*snapshot::take_node(rest), writer);
  writer.end_object();
  return std::move(writer).take() + "\n";
}

Result<std::uint64_t> size_of(const UniqueFd& fd, const std::string& path) {
  struct stat facts{};
  if (::fstat(fd.get(), &facts) < 0) return fail_errno(errno, "look at {}", json::quote(path));
  if (!S_ISREG(facts.st_mode)) {
    return fail(ErrorKind::kInvalid, "{} is no regular file", json::quote(path));
  }
  return static_cast<std::uint64_t>(facts.st_size);
}

}  // namespace

Result<std::string> snapshot_version(const std::string& path) {
  MOTE_TRY(const std::string bytes, snapshot::read_bytes_of(path));
  const auto header = snapshot::read_header(std::as_bytes(std::span(bytes)));
  if (!header) return std::unexpected(Error(header.error()).within(json::quote(path)));
  return snapshot::version_text(header->major, header->minor);
}

Result<std::string> inspect_snapshot(const std::string& path, const std::string& part, bool json) {
  MOTE_TRY(const Loaded file, load(path));
  if (json) {
    if (!part.empty()) return fail(ErrorKind::kInvalid, "JSON is of the whole, not of {}", part);
    return as_json(file);
  }
  std::string text = part.empty() ? header_lines(file.header) : std::string();
  bool any = false;
  MOTE_CHECK(snapshot::walk(file.body(), [&](const std::string& place, const Node& node) {
    if (!is_in(place, part)) return;
    any = true;
    text += fmt::format("{} = {}\n", place, text_of(node));
  }));
  if (any) return text;
  return fail(ErrorKind::kNotFound, "{} has nothing at {}", json::quote(path), json::quote(part));
}

Result<std::vector<std::string>> diff_snapshots(const std::string& one, const std::string& other) {
  MOTE_TRY(const Loaded first, load(one));
  MOTE_TRY(const Loaded second, load(other));
  MOTE_TRY(const auto left, leaves(first, ""));
  MOTE_TRY(auto right, leaves(second, ""));
  std::vector<std::string> lines;
  for (const auto& [path, value] : left) {
    const auto found = right.find(path);
    if (found == right.end()) {
      lines.push_back(fmt::format("{}: {}, nothing", path, value));
      continue;
    }
    if (found->second != value)
      lines.push_back(fmt::format("{}: {}, {}", path, value, found->second));
    right.erase(found);
  }
  for (const auto& [path, value] : right)
    lines.push_back(fmt::format("{}: nothing, {}", path, value));
  return lines;
}

Result<void> rebase_snapshot(const std::string& base, const std::string& diff) {
  MOTE_TRY(const UniqueFd old, open_file(base, O_RDONLY | O_NONBLOCK));
  MOTE_TRY(const UniqueFd changes, open_file(diff, O_RDONLY | O_NONBLOCK));
  MOTE_TRY(const std::uint64_t size, size_of(old, base));
  MOTE_TRY(const std::uint64_t changed, size_of(changes, diff));
  if (size != changed) {
    return fail(ErrorKind::kInvalid,
                "{} has {} bytes and {} {}: they are not of one machine's memory",
                json::quote(base), size, json::quote(diff), changed);
  }
  MOTE_TRY(const auto base_stamp, snapshot::read_stamp(old.get()));
  MOTE_TRY(const auto diff_stamp, snapshot::read_stamp(changes.get()));
  MOTE_CHECK_WITHIN(snapshot::check_order(base_stamp, diff_stamp), "lay {} over {}",
                    json::quote(diff), json::quote(base));
  MOTE_TRY(snapshot::NewFile file, snapshot::NewFile::create(base));
  MOTE_CHECK_WITHIN(snapshot::copy_file(old.get(), file.fd()), "{}", json::quote(base));
  MOTE_CHECK_WITHIN(snapshot::lay_over(changes.get(), file.fd()), "{}", json::quote(diff));
  if (base_stamp && diff_stamp) {
    MOTE_TRY(const bool partial, snapshot::is_partial(old.get()));
    MOTE_CHECK(
        snapshot::write_stamp(file.fd(), *snapshot::merged(base_stamp, diff_stamp, partial)));
  }
  return file.commit();
}

}  // namespace mote::engine
