#include "snapshot/describe.h"

#include <cstring>

namespace mote::snapshot::detail {

std::unexpected<Error> mismatch(const Path& path, const Node& node, std::string_view wanted) {
  return fail(ErrorKind::kInvalid, "{} is {}; it must be {}", path.text(), shown(node), wanted);
}

namespace {

std::unexpected<Error> broken(const Path& path) {
  return fail(ErrorKind::kInvalid, "{}: what is there is not whole", path.text());
}

// The member called `name`. Members mostly come in the order of the description: `next` is the one
// that is expected.
const Member* find_member(std::span<const Member> members, std::size_t& next,
                          std::string_view name) {
  for (std::size_t i = 0; i < members.size(); ++i) {
    const std::size_t at = (next + i) % members.size();
    if (members[at].name != name) continue;
    next = at + 1;
    return &members[at];
  }
  return nullptr;
}

}  // namespace

void write_record(const Record& record, const void* object, NodeWriter& writer) {
  const auto mark =
      writer.begin_record(record.version, static_cast<std::uint16_t>(record.members.size()));
  for (const Member& member : record.members) {
    writer.name(member.name);
    // Only looked at.
    member.type->write(member.of(const_cast<void*>(object)), writer);
  }
  writer.end(mark);
}

Result<void> read_record(const Record& record, const Node& node, const Path& path, Notes& notes,
                         void* object) {
  if (node.kind != NodeKind::kRecord) return mismatch(path, node, "a record");
  if (node.version > record.version) {
    return fail(ErrorKind::kUnsupported,
                "{} is version {} of {}; this mote knows up to version {}: a newer one wrote it",
                path.text(), node.version, record.name, record.version);
  }
  std::span<const std::byte> rest = node.bytes;
  std::size_t next = 0;
  for (std::uint32_t i = 0; i < node.count; ++i) {
    const auto name = take_name(rest);
    if (!name) return broken(path);
    const Path at(path, *name);
    const auto inner = take_node(rest);
    if (!inner) return broken(at);
    const Member* const member = find_member(record.members, next, *name);
    if (member == nullptr) {
      notes.skip(at);
      continue;
    }
    MOTE_CHECK(member->type->read(*inner, at, notes, member->of(object)));
  }
  if (!rest.empty()) return broken(path);
  return {};
}

void write_enum(std::span<const Enumerator> names, std::int64_t value, NodeWriter& writer) {
  const auto found = std::ranges::find(names, value, &Enumerator::value);
  writer.text(found == names.end() ? std::string_view() : found->name);
}

Result<std::int64_t> read_enum(std::span<const Enumerator> names, const Node& node,
                               const Path& path) {
  if (node.kind == NodeKind::kText) {
    const auto found = std::ranges::find(names, node.text(), &Enumerator::name);
    if (found != names.end()) return found->value;
  }
  std::string wanted;
  for (const Enumerator& known : names) {
    if (!wanted.empty()) wanted += " or ";
    wanted += json::quote(known.name);
  }
  return mismatch(path, node, wanted);
}

Result<std::int64_t> read_signed(const Node& node, const Path& path, std::int64_t lowest,
                                 std::int64_t highest) {
  const auto value = static_cast<std::int64_t>(node.number);
  const bool fits = node.kind == NodeKind::kSigned || (node.is_number() && value >= 0);
  if (fits && value >= lowest && value <= highest) return value;
  return mismatch(path, node, fmt::format("a number from {} to {}", lowest, highest));
}

Result<std::uint64_t> read_unsigned(const Node& node, const Path& path, std::uint64_t highest) {
  const bool fits = node.kind == NodeKind::kUnsigned ||
                    (node.kind == NodeKind::kSigned && static_cast<std::int64_t>(node.number) >= 0);
  if (fits && node.number <= highest) return node.number;
  return mismatch(path, node, fmt::format("a number from 0 to {}", highest));
}

Result<void> read_bytes(const Node& node, const Path& path, std::span<std::byte> into) {
  if (node.kind != NodeKind::kBytes || node.bytes.size() != into.size()) {
    return mismatch(path, node, fmt::format("{} bytes", into.size()));
  }
  if (!into.empty()) std::memcpy(into.data(), node.bytes.data(), into.size());
  return {};
}

Result<void> read_alternative(std::span<const Alternative> alternatives, const Node& node,
                              const Path& path, Notes& notes, void* variant) {
  if (node.kind != NodeKind::kRecord || node.count != 1) {
    return mismatch(path, node, "a record of one");
  }
  std::span<const std::byte> rest = node.bytes;
  const auto name = take_name(rest);
  if (!name) return broken(path);
  const Path at(path, *name);
  const auto inner = take_node(rest);
  if (!inner || !rest.empty()) return broken(at);
  const auto found = std::ranges::find(alternatives, *name, &Alternative::name);
  if (found == alternatives.end()) {
    return fail(ErrorKind::kUnsupported, "{}: this mote has nothing that is saved so", at.text());
  }
  return found->type->read(*inner, at, notes, found->make(variant));
}

Result<void> read_list(const Node& node, const Path& path,
                       const std::function<Result<void>(const Node&, const Path&)>& each) {
  if (node.kind != NodeKind::kList) return mismatch(path, node, "a list");
  std::span<const std::byte> rest = node.bytes;
  for (std::size_t i = 0; i < node.count; ++i) {
    const Path at(path, i);
    const auto element = take_node(rest);
    if (!element) return broken(at);
    MOTE_CHECK(each(*element, at));
  }
  if (!rest.empty()) return broken(path);
  return {};
}

Result<void> check_size(const Node& node, const Path& path, std::size_t size) {
  constexpr std::size_t kMost = std::size_t{64} << 20;
  if (node.kind != NodeKind::kList || node.count <= kMost / size) return {};
  return fail(ErrorKind::kInvalid, "{} is a list of {}, more than any machine has", path.text(),
              node.count);
}

constinit const Type kBool{
    .write = [](const void* from,
                NodeWriter& writer) { writer.boolean(*static_cast<const bool*>(from)); },
    .read = [](const Node& node, const Path& path, Notes&, void* into) -> Result<void> {
      if (node.kind != NodeKind::kTrue && node.kind != NodeKind::kFalse) {
        return mismatch(path, node, "true or false");
      }
      *static_cast<bool*>(into) = node.kind == NodeKind::kTrue;
      return {};
    }};

constinit const Type kString{
    .write = [](const void* from,
                NodeWriter& writer) { writer.text(*static_cast<const std::string*>(from)); },
    .read = [](const Node& node, const Path& path, Notes&, void* into) -> Result<void> {
      if (node.kind != NodeKind::kText) return mismatch(path, node, "a text");
      *static_cast<std::string*>(into) = std::string(node.text());
      return {};
    }};

constinit const Type kByteList{
    .write =
        [](const void* from, NodeWriter& writer) {
          writer.bytes(*static_cast<const std::vector<std::byte>*>(from));
        },
    .read = [](const Node& node, const Path& path, Notes&, void* into) -> Result<void> {
      if (node.kind != NodeKind::kBytes) return mismatch(path, node, "bytes");
      *static_cast<std::vector<std::byte>*>(into) = {node.bytes.begin(), node.bytes.end()};
      return {};
    }};

}  // namespace mote::snapshot::detail
