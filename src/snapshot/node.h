// The form in which a state lies in a file: a tree of nodes, each with its kind and its length, the
// members of a record under their names. Whoever reads it needs to know neither the record nor all
// of its members. Numbers are little-endian, as all in the file is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mote::snapshot {

// As the byte says that begins a node. What follows it:
enum class NodeKind : std::uint8_t {
  kAbsent = 0,    // nothing
  kFalse = 1,     // nothing
  kTrue = 2,      // nothing
  kUnsigned = 3,  // 8 bytes
  kSigned = 4,    // 8 bytes
  kText = 5,      // a length of 4 bytes, and so many of UTF-8
  kBytes = 6,     // the same of any bytes
  kList = 7,      // a length, a count of 4 bytes, and so many nodes; the length is of these
  kRecord = 8,  // a length, a version of 2 bytes, a count of 2, and so many members: each a length
                // of one byte, a name, and a node
};

// A node that was read; `bytes` are the text's, the list's or the record's own.
struct Node {
  NodeKind kind = NodeKind::kAbsent;
  std::uint64_t number = 0;
  std::span<const std::byte> bytes;
  std::uint16_t version = 0;
  std::uint32_t count = 0;

  bool is_number() const { return kind == NodeKind::kUnsigned || kind == NodeKind::kSigned; }
  std::string_view text() const {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
};

// What a node is, for a message: "the number 7", "a list".
std::string shown(const Node& node);

// Takes the node that `rest` begins with off it. nullopt: it is none, or longer than what is there.
std::optional<Node> take_node(std::span<const std::byte>& rest);
// Takes the name of a record's member, which its node follows.
std::optional<std::string_view> take_name(std::span<const std::byte>& rest);

class NodeWriter {
 public:
  // Of a list or record that is open: where its length stands.
  using Mark = std::size_t;

  void absent() { kind(NodeKind::kAbsent); }
  void boolean(bool value) { kind(value ? NodeKind::kTrue : NodeKind::kFalse); }
  void number(std::uint64_t value);
  void number(std::int64_t value);
  void text(std::string_view value);
  void bytes(std::span<const std::byte> value);
  Mark begin_list(std::uint32_t count);
  Mark begin_record(std::uint16_t version, std::uint16_t members);
  void name(std::string_view name);  // at most 255 bytes
  void end(Mark mark);

  std::vector<std::byte> take() && { return std::move(bytes_); }

 private:
  void kind(NodeKind kind) { bytes_.push_back(static_cast<std::byte>(kind)); }
  template <typename T>
  void raw(T value);
  void append(std::span<const std::byte> bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }

  std::vector<std::byte> bytes_;
};

// Calls `leaf` for every node of the tree in `bytes` that has no nodes in it, with the path to it:
// "machine.vcpus[0].regs.rip". Errors (kInvalid): `bytes` are not one whole tree, or it is deeper
// than kMaxDepth.
inline constexpr int kMaxDepth = 32;
Result<void> walk(std::span<const std::byte> bytes,
                  const std::function<void(const std::string& path, const Node& node)>& leaf);

}  // namespace mote::snapshot
