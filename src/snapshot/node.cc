#include "snapshot/node.h"

#include <cstring>

#include "base/json.h"

namespace mote::snapshot {
namespace {

template <typename T>
std::optional<T> take_raw(std::span<const std::byte>& rest) {
  if (rest.size() < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, rest.data(), sizeof value);
  rest = rest.subspan(sizeof value);
  return value;
}

// `length` bytes off `rest`.
bool cut(std::span<const std::byte>& rest, std::uint32_t length, Node& node) {
  if (rest.size() < length) return false;
  node.bytes = rest.first(length);
  rest = rest.subspan(length);
  return true;
}

bool take_rest(std::span<const std::byte>& rest, Node& node) {
  switch (node.kind) {
    case NodeKind::kAbsent:
    case NodeKind::kFalse:
    case NodeKind::kTrue:
      return true;
    case NodeKind::kUnsigned:
    case NodeKind::kSigned: {
      const auto value = take_raw<std::uint64_t>(rest);
      node.number = value.value_or(0);
      return value.has_value();
    }
    case NodeKind::kText:
    case NodeKind::kBytes: {
      const auto length = take_raw<std::uint32_t>(rest);
      return length && cut(rest, *length, node);
    }
    case NodeKind::kList: {
      const auto length = take_raw<std::uint32_t>(rest);
      const auto count = take_raw<std::uint32_t>(rest);
      node.count = count.value_or(0);
      // A node has a byte at least.
      return length && count && *count <= *length && cut(rest, *length, node);
    }
    case NodeKind::kRecord: {
      const auto length = take_raw<std::uint32_t>(rest);
      const auto version = take_raw<std::uint16_t>(rest);
      const auto count = take_raw<std::uint16_t>(rest);
      node.version = version.value_or(0);
      node.count = count.value_or(0);
      return length && version && count && *count <= *length && cut(rest, *length, node);
    }
  }
  return false;
}

std::unexpected<Error> broken(const std::string& path) {
  return fail(ErrorKind::kInvalid, "{}: what is there is not whole",
              path.empty() ? "the state" : path);
}

using Leaf = std::function<void(const std::string& path, const Node& node)>;

Result<void> walk_node(const Node& node, std::string& path, int depth, const Leaf& leaf) {
  if (node.kind != NodeKind::kList && node.kind != NodeKind::kRecord) {
    leaf(path, node);
    return {};
  }
  if (depth == kMaxDepth) {
    return fail(ErrorKind::kInvalid, "{}: more than {} deep", path, kMaxDepth);
  }
  if (node.count == 0) leaf(path, node);
  std::span<const std::byte> rest = node.bytes;
  const std::size_t own = path.size();
  for (std::uint32_t i = 0; i < node.count; ++i) {
    if (node.kind == NodeKind::kList) {
      path += fmt::format("[{}]", i);
    } else {
      const auto name = take_name(rest);
      if (!name) return broken(path);
      if (own > 0) path += '.';
      path += *name;
    }
    const auto inner = take_node(rest);
    if (!inner) return broken(path);
    MOTE_CHECK(walk_node(*inner, path, depth + 1, leaf));
    path.resize(own);
  }
  if (!rest.empty()) return broken(path);
  return {};
}

}  // namespace

std::string shown(const Node& node) {
  switch (node.kind) {
    case NodeKind::kAbsent:
      return "absent";
    case NodeKind::kFalse:
      return "false";
    case NodeKind::kTrue:
      return "true";
    case NodeKind::kUnsigned:
      return fmt::format("the number {}", node.number);
    case NodeKind::kSigned:
      return fmt::format("the number {}", static_cast<std::int64_t>(node.number));
    case NodeKind::kText:
      return fmt::format("the text {}", json::quote(node.text()));
    case NodeKind::kBytes:
      return fmt::format("{} bytes", node.bytes.size());
    case NodeKind::kList:
      return fmt::format("a list of {}", node.count);
    case NodeKind::kRecord:
      return fmt::format("a record of {}", node.count);
  }
  return "nothing";
}

std::optional<Node> take_node(std::span<const std::byte>& rest) {
  const auto kind = take_raw<std::uint8_t>(rest);
  if (!kind || *kind > static_cast<std::uint8_t>(NodeKind::kRecord)) return std::nullopt;
  Node node{.kind = static_cast<NodeKind>(*kind), .bytes = {}};
  if (!take_rest(rest, node)) return std::nullopt;
  return node;
}

std::optional<std::string_view> take_name(std::span<const std::byte>& rest) {
  const auto length = take_raw<std::uint8_t>(rest);
  if (!length || rest.size() < *length) return std::nullopt;
  const std::string_view name(reinterpret_cast<const char*>(rest.data()), *length);
  rest = rest.subspan(*length);
  return name;
}

template <typename T>
void NodeWriter::raw(T value) {
  append(std::as_bytes(std::span(&value, 1)));
}

void NodeWriter::number(std::uint64_t value) {
  kind(NodeKind::kUnsigned);
  raw(value);
}

void NodeWriter::number(std::int64_t value) {
  kind(NodeKind::kSigned);
  raw(value);
}

void NodeWriter::text(std::string_view value) {
  kind(NodeKind::kText);
  raw(static_cast<std::uint32_t>(value.size()));
  append(std::as_bytes(std::span(value)));
}

void NodeWriter::bytes(std::span<const std::byte> value) {
  kind(NodeKind::kBytes);
  raw(static_cast<std::uint32_t>(value.size()));
  append(value);
}

NodeWriter::Mark NodeWriter::begin_list(std::uint32_t count) {
  kind(NodeKind::kList);
  const Mark mark = bytes_.size();
  raw(std::uint32_t{0});
  raw(count);
  return mark;
}

NodeWriter::Mark NodeWriter::begin_record(std::uint16_t version, std::uint16_t members) {
  kind(NodeKind::kRecord);
  const Mark mark = bytes_.size();
  raw(std::uint32_t{0});
  raw(version);
  raw(members);
  return mark;
}

void NodeWriter::name(std::string_view name) {
  raw(static_cast<std::uint8_t>(name.size()));
  append(std::as_bytes(std::span(name)));
}

void NodeWriter::end(Mark mark) {
  // The length is followed by four bytes either way: a count, or a version and a count.
  const auto length = static_cast<std::uint32_t>(bytes_.size() - mark - 8);
  std::memcpy(bytes_.data() + mark, &length, sizeof length);
}

Result<void> walk(std::span<const std::byte> bytes, const Leaf& leaf) {
  const auto root = take_node(bytes);
  if (!root || !bytes.empty()) return broken("");
  std::string path;
  return walk_node(*root, path, 0, leaf);
}

}  // namespace mote::snapshot
