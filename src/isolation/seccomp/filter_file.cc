#include "isolation/seccomp/filter_file.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "base/json.h"

namespace mote::seccomp {
namespace {

static_assert(sizeof(sock_filter) == sizeof(std::uint64_t));
static_assert(std::endian::native == std::endian::little);

constexpr std::uint64_t kMaxFilters = 16;
constexpr std::uint64_t kMaxName = 64;

class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  // `most`: what the number may be, of which each takes at least `unit` bytes that follow.
  Result<std::size_t> count(std::uint64_t most, std::size_t unit, const char* what) {
    std::uint64_t number = 0;
    if (bytes_.size() < sizeof number) return ends_early(what);
    std::memcpy(&number, bytes_.data(), sizeof number);
    bytes_ = bytes_.subspan(sizeof number);
    if (number > most) return fail(ErrorKind::kInvalid, "it says {} {}", number, what);
    if (number > bytes_.size() / unit) return ends_early(what);
    return static_cast<std::size_t>(number);
  }
  // `count` has seen that they are there.
  std::span<const std::byte> take(std::size_t size) {
    const auto taken = bytes_.first(size);
    bytes_ = bytes_.subspan(size);
    return taken;
  }
  std::size_t left() const { return bytes_.size(); }

 private:
  static std::unexpected<Error> ends_early(const char* what) {
    return fail(ErrorKind::kInvalid, "it ends where {} should be", what);
  }
  std::span<const std::byte> bytes_;
};

bool is_name(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  });
}

Result<void> parse_one(Reader& reader, FilterMap& into) {
  MOTE_TRY(const std::size_t length, reader.count(kMaxName, 1, "bytes of a name"));
  const auto bytes = reader.take(length);
  std::string name(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!is_name(name)) {
    return fail(ErrorKind::kInvalid, "it names a filter {}", json::quote(name));
  }
  for (char& c : name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  MOTE_TRY(const std::size_t count,
           reader.count(BPF_MAXINSNS, sizeof(sock_filter), "instructions"));
  OwnedProgram program(count);
  const auto code = reader.take(count * sizeof(sock_filter));
  if (count > 0) std::memcpy(program.data(), code.data(), code.size());
  MOTE_CHECK_WITHIN(check(program), "the filter '{}'", name);
  if (into.contains(name)) return fail(ErrorKind::kInvalid, "it has the filter '{}' twice", name);
  into.emplace(std::move(name), std::move(program));
  return {};
}

void put(std::string& into, std::uint64_t number) {
  std::array<char, sizeof number> bytes{};
  std::memcpy(bytes.data(), &number, sizeof number);
  into.append(bytes.data(), bytes.size());
}

}  // namespace

Result<FilterMap> parse_filters(std::span<const std::byte> bytes) {
  Reader reader(bytes);
  FilterMap filters;
  MOTE_TRY(const std::size_t count,
           reader.count(kMaxFilters, 2 * sizeof(std::uint64_t), "filters"));
  for (std::size_t i = 0; i < count; ++i) MOTE_CHECK(parse_one(reader, filters));
  if (reader.left() > 0) {
    return fail(ErrorKind::kInvalid, "it has {} bytes after its last filter", reader.left());
  }
  return filters;
}

std::string write_filters(const FilterMap& filters) {
  std::string bytes;
  put(bytes, filters.size());
  for (const auto& [name, program] : filters) {
    put(bytes, name.size());
    bytes += name;
    put(bytes, program.size());
    bytes.append(reinterpret_cast<const char*>(program.data()),
                 program.size() * sizeof(sock_filter));
  }
  return bytes;
}

}  // namespace mote::seccomp
