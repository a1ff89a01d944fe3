// Structs described with Boost.Describe <-> nodes (node.h). The same description that makes JSON of
// a configuration makes a state of a struct, but what is read tolerates: a member that is not there
// keeps its own value, one that is not known is noted and left. What is there must be sound: of the
// member's kind and in its range. Errors name its place.
//
// A struct whose members have come to mean something else has another version:
//   constexpr std::uint16_t state_version(const NetState*) { return 2; }
// One that is newer than the reader's is refused; so is what an older one left out, unless its own
// value is right then.
//
// Types of members: bool, integers, std::string, described enums (as names) and structs,
// std::optional, std::vector and arrays of these (of bytes: as one), std::variant of structs (under
// the name of the struct), and structs of the kernel's ABI that are not described, as their bytes.
#pragma once

#include <algorithm>
#include <array>
#include <boost/describe/enumerators.hpp>
#include <boost/describe/members.hpp>
#include <concepts>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "base/json.h"
#include "snapshot/node.h"

namespace mote::snapshot {

using Path = json::Path;

// What was met in a state and is not known: places, the first few of them.
struct Notes {
  static constexpr std::size_t kMost = 16;
  std::vector<std::string> skipped;
  std::size_t more = 0;

  void skip(const Path& path) {
    skipped.size() < kMost ? skipped.push_back(path.text()) : void(++more);
  }
};

namespace detail {

// What a type does with a node. As with JSON, the templates make tables of these, and the work is
// done in describe.cc.
struct Type {
  void (*write)(const void* from, NodeWriter& writer);
  Result<void> (*read)(const Node& node, const Path& path, Notes& notes, void* into);
};

struct Member {
  std::string_view name;
  const Type* type;
  void* (*of)(void* object);
};

struct Record {
  std::string_view name;  // of the struct
  std::uint16_t version;
  std::span<const Member> members;
};

struct Enumerator {
  std::string_view name;
  std::int64_t value;
};

struct Alternative {
  std::string_view name;
  const Type* type;
  void* (*make)(void* variant);  // makes it the one that the variant holds
};

void write_record(const Record& record, const void* object, NodeWriter& writer);
Result<void> read_record(const Record& record, const Node& node, const Path& path, Notes& notes,
                         void* object);
void write_enum(std::span<const Enumerator> names, std::int64_t value, NodeWriter& writer);
Result<std::int64_t> read_enum(std::span<const Enumerator> names, const Node& node,
                               const Path& path);
Result<std::int64_t> read_signed(const Node& node, const Path& path, std::int64_t lowest,
                                 std::int64_t highest);
Result<std::uint64_t> read_unsigned(const Node& node, const Path& path, std::uint64_t highest);
// The bytes of a node that must have `size` of them, copied.
Result<void> read_bytes(const Node& node, const Path& path, std::span<std::byte> into);
Result<void> read_alternative(std::span<const Alternative> alternatives, const Node& node,
                              const Path& path, Notes& notes, void* variant);
// Calls `each` for every node of a list.
Result<void> read_list(const Node& node, const Path& path,
                       const std::function<Result<void>(const Node&, const Path&)>& each);
// That a list of elements of `size` bytes does not take more memory than any machine's would.
Result<void> check_size(const Node& node, const Path& path, std::size_t size);
std::unexpected<Error> mismatch(const Path& path, const Node& node, std::string_view wanted);
extern const Type kBool;
extern const Type kString;
extern const Type kByteList;

// "BlockState", of mote::virtio::BlockState.
template <typename T>
constexpr std::string_view type_name() {
  std::string_view name = __PRETTY_FUNCTION__;
  name = name.substr(name.find("T = ") + 4);
  name = name.substr(0, name.find_first_of("];"));
  return name.substr(name.rfind(':') == name.npos ? 0 : name.rfind(':') + 1);
}

template <typename T>
constexpr std::uint16_t version_of() {
  if constexpr (requires { state_version(static_cast<const T*>(nullptr)); }) {
    return state_version(static_cast<const T*>(nullptr));
  }
  return 1;
}

template <typename T>
inline constexpr bool kIsByte =
    std::is_same_v<T, std::byte> || std::is_same_v<T, std::uint8_t> || std::is_same_v<T, char>;
template <typename T>
inline constexpr bool kIsDescribed = boost::describe::has_describe_members<T>::value;

template <typename T>
struct TypeOf;

template <>
struct TypeOf<bool> {
  static constexpr const Type& kType = kBool;
};
template <>
struct TypeOf<std::string> {
  static constexpr const Type& kType = kString;
};
template <>
struct TypeOf<std::vector<std::byte>> {
  static constexpr const Type& kType = kByteList;
};

template <std::integral T>
struct TypeOf<T> {
  using Range = std::numeric_limits<T>;
  static constexpr Type kType{
      .write =
          [](const void* from, NodeWriter& writer) {
            const T value = *static_cast<const T*>(from);
            if constexpr (std::is_signed_v<T>) {
              writer.number(std::int64_t{value});
            } else {
              writer.number(std::uint64_t{value});
            }
          },
      .read = [](const Node& node, const Path& path, Notes&, void* into) -> Result<void> {
        if constexpr (std::is_signed_v<T>) {
          MOTE_TRY(const std::int64_t number, read_signed(node, path, Range::min(), Range::max()));
          *static_cast<T*>(into) = static_cast<T>(number);
        } else {
          MOTE_TRY(const std::uint64_t number, read_unsigned(node, path, Range::max()));
          *static_cast<T*>(into) = static_cast<T>(number);
        }
        return {};
      }};
};

template <typename E, typename List = boost::describe::describe_enumerators<E>>
struct Enumerators;
template <typename E, template <typename...> typename List, typename... D>
struct Enumerators<E, List<D...>> {
  static constexpr std::array<Enumerator, sizeof...(D)> kTable{
      Enumerator{D::name, static_cast<std::int64_t>(D::value)}...};
};

template <typename E>
  requires std::is_enum_v<E>
struct TypeOf<E> {
  static constexpr Type kType{
      .write =
          [](const void* from, NodeWriter& writer) {
            write_enum(Enumerators<E>::kTable,
                       static_cast<std::int64_t>(*static_cast<const E*>(from)), writer);
          },
      .read = [](const Node& node, const Path& path, Notes&, void* into) -> Result<void> {
        MOTE_TRY(const std::int64_t value, read_enum(Enumerators<E>::kTable, node, path));
        *static_cast<E*>(into) = static_cast<E>(value);
        return {};
      }};
};

template <typename T, auto kPointer>
struct MemberOf {
  using Type = std::remove_reference_t<decltype(std::declval<T&>().*kPointer)>;
  static void* get(void* object) { return &(static_cast<T*>(object)->*kPointer); }
};

template <typename T, typename List = boost::describe::describe_members<
                          T, boost::describe::mod_public | boost::describe::mod_inherited>>
struct RecordOf;
template <typename T, template <typename...> typename List, typename... D>
struct RecordOf<T, List<D...>> {
  static constexpr std::array<Member, sizeof...(D)> kMembers{
      Member{D::name, &TypeOf<typename MemberOf<T, D::pointer>::Type>::kType,
             &MemberOf<T, D::pointer>::get}...};
  static constexpr Record kRecord{type_name<T>(), version_of<T>(), kMembers};
};

template <typename T>
  requires(std::is_class_v<T> && kIsDescribed<T>)
struct TypeOf<T> {
  static constexpr Type kType{
      .write = [](const void* from,
                  NodeWriter& writer) { write_record(RecordOf<T>::kRecord, from, writer); },
      .read = [](const Node& node, const Path& path, Notes& notes, void* into) -> Result<void> {
        return read_record(RecordOf<T>::kRecord, node, path, notes, into);
      }};
};

// What the kernel defines, whole.
template <typename T>
  requires(std::is_class_v<T> && !kIsDescribed<T> && std::is_trivially_copyable_v<T> &&
           std::is_standard_layout_v<T>)
struct TypeOf<T> {
  static constexpr Type kType{
      .write =
          [](const void* from, NodeWriter& writer) {
            writer.bytes({static_cast<const std::byte*>(from), sizeof(T)});
          },
      .read = [](const Node& node, const Path& path, Notes&, void* into) -> Result<void> {
        return read_bytes(node, path, {static_cast<std::byte*>(into), sizeof(T)});
      }};
};

// `count` elements side by side.
template <typename T>
void write_elements(const T* first, std::size_t count, NodeWriter& writer) {
  if constexpr (kIsByte<T>) {
    writer.bytes(std::as_bytes(std::span(first, count)));
  } else {
    const auto mark = writer.begin_list(static_cast<std::uint32_t>(count));
    for (std::size_t i = 0; i < count; ++i) TypeOf<T>::kType.write(first + i, writer);
    writer.end(mark);
  }
}

template <typename T>
Result<void> read_elements(const Node& node, const Path& path, Notes& notes, std::span<T> into) {
  if constexpr (kIsByte<T>) {
    return read_bytes(node, path, std::as_writable_bytes(into));
  } else {
    if (node.kind != NodeKind::kList || node.count != into.size()) {
      return mismatch(path, node, fmt::format("a list of {}", into.size()));
    }
    std::size_t index = 0;
    return read_list(node, path, [&](const Node& element, const Path& at) {
      return TypeOf<T>::kType.read(element, at, notes, &into[index++]);
    });
  }
}

template <typename T, std::size_t kCount>
struct TypeOf<T[kCount]> {
  static constexpr Type kType{
      .write =
          [](const void* from, NodeWriter& writer) {
            write_elements(static_cast<const T*>(from), kCount, writer);
          },
      .read = [](const Node& node, const Path& path, Notes& notes, void* into) -> Result<void> {
        return read_elements(node, path, notes, std::span(static_cast<T*>(into), kCount));
      }};
};
template <typename T, std::size_t kCount>
struct TypeOf<std::array<T, kCount>> : TypeOf<T[kCount]> {
  static_assert(sizeof(std::array<T, kCount>) == sizeof(T[kCount]));
};

template <typename T>
struct TypeOf<std::vector<T>> {
  static constexpr Type kType{
      .write =
          [](const void* from, NodeWriter& writer) {
            const auto& list = *static_cast<const std::vector<T>*>(from);
            write_elements(list.data(), list.size(), writer);
          },
      .read = [](const Node& node, const Path& path, Notes& notes, void* into) -> Result<void> {
        auto& list = *static_cast<std::vector<T>*>(into);
        list.clear();
        if constexpr (kIsByte<T>) {
          list.resize(node.bytes.size());
          return read_bytes(node, path, std::as_writable_bytes(std::span(list)));
        } else {
          MOTE_CHECK(check_size(node, path, sizeof(T)));
          return read_list(node, path, [&](const Node& element, const Path& at) {
            return TypeOf<T>::kType.read(element, at, notes, &list.emplace_back());
          });
        }
      }};
};

template <typename T>
struct TypeOf<std::optional<T>> {
  static constexpr Type kType{
      .write =
          [](const void* from, NodeWriter& writer) {
            const auto& optional = *static_cast<const std::optional<T>*>(from);
            optional ? TypeOf<T>::kType.write(&*optional, writer) : writer.absent();
          },
      .read = [](const Node& node, const Path& path, Notes& notes, void* into) -> Result<void> {
        auto& optional = *static_cast<std::optional<T>*>(into);
        optional.reset();
        if (node.kind == NodeKind::kAbsent) return {};
        return TypeOf<T>::kType.read(node, path, notes, &optional.emplace());
      }};
};

template <typename... T>
struct TypeOf<std::variant<T...>> {
  using Variant = std::variant<T...>;
  static constexpr std::array<Alternative, sizeof...(T)> kAlternatives{
      Alternative{type_name<T>(), &TypeOf<T>::kType, [](void* variant) -> void* {
                    return &static_cast<Variant*>(variant)->template emplace<T>();
                  }}...};
  static constexpr Type kType{
      .write =
          [](const void* from, NodeWriter& writer) {
            std::visit(
                [&]<typename Held>(const Held& held) {
                  const auto mark = writer.begin_record(1, 1);
                  writer.name(type_name<Held>());
                  TypeOf<Held>::kType.write(&held, writer);
                  writer.end(mark);
                },
                *static_cast<const Variant*>(from));
          },
      .read = [](const Node& node, const Path& path, Notes& notes, void* into) -> Result<void> {
        return read_alternative(kAlternatives, node, path, notes, into);
      }};
};

}  // namespace detail

// The nodes of `object`.
template <typename T>
std::vector<std::byte> write(const T& object) {
  NodeWriter writer;
  detail::TypeOf<T>::kType.write(&object, writer);
  return std::move(writer).take();
}

// A T from what write() made, by this version or another one. What `bytes` have behind it is an
// error.
template <typename T>
Result<T> read(std::span<const std::byte> bytes, Notes& notes,
               const Path& document = Path("the state")) {
  const auto node = take_node(bytes);
  if (!node || !bytes.empty()) {
    return fail(ErrorKind::kInvalid, "{} is not whole", document.text());
  }
  T object{};
  MOTE_CHECK(detail::TypeOf<T>::kType.read(*node, document, notes, &object));
  return object;
}

}  // namespace mote::snapshot
